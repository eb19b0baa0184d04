/** Who has the packet and does not answer: another container, the container itself, or the agent. */
import { routeCauses } from "./agent_routing.ts";
import { farCauses } from "./container.ts";
import { sharedAddresses, wrongGateways } from "./hardware.ts";
import { firstOf, type Reader } from "./reader.ts";

/** The packet has arrived at who must answer, and no answer leaves. */
export const receiver: Reader = (e) => {
  const { before, after, journey: { to } } = e.trail;
  const hasArrived = before &&
    (!after || before.way === "there" && after.way === "back" && before.stop.place !== "uplink");
  if (!hasArrived) return [];
  return firstOf(
    () => to === "agent" ? routeCauses(e, true) : [],
    () => to === "neighbour" ? farCauses(e) : [],
    () => wrongGateways(e),
    () => sharedAddresses(e),
  );
};
