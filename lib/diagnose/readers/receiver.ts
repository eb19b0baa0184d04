/** Who has the packet and does not answer: another container, the container itself, or the agent. */
import { type Cause, isProblem } from "../../facts/cause.ts";
import { missing } from "../../facts/readers/address.ts";
import { readBridges } from "../../facts/readers/bridge.ts";
import { readLinks } from "../../facts/readers/link.ts";
import type { Evidence } from "../evidence.ts";
import { routeCauses } from "./agent_routing.ts";
import { farCauses, routesTo } from "./container.ts";
import { sharedAddresses, wrongGateways } from "./hardware.ts";
import { flowOf } from "./policy.ts";
import { firstOf, type Reader } from "./reader.ts";

/** Nothing else explains it, and a link of the container is not as it was made. */
export const ownLinks: Reader = {
  name: "the container's links and their bridges",
  applies: ({ question }) => question.topic !== "port",
  read: ({ scene }) => [readLinks(scene), readBridges(scene)].flatMap(({ causes }) => causes),
};

/** The packet has arrived at who must answer, and no answer leaves. */
export const receiver: Reader = {
  name: "who has the packet and does not answer",
  applies: ({ trail: { before, after } }) =>
    before !== undefined &&
    (after === undefined ||
      before.way === "there" && after.way === "back" && before.stop.place !== "uplink"),
  read(e) {
    const { trail } = e;
    const isHere = trail.journey.to === "container" || trail.before?.stop.place === "container";
    return firstOf(
      () => trail.journey.to === "agent" ? routeCauses(e, true) : [],
      () => trail.journey.to === "neighbour" ? farCauses(e) : [],
      () => wrongGateways(e),
      () => sharedAddresses(e),
      () =>
        trail.journey.to === "container"
          ? e.scene.interfaces.flatMap((one) => missing(e.scene, one)).filter(isProblem)
          : [],
      () => isHere ? backFrom(e) : [],
    );
  },
};

function backFrom({ scene, question, failure, trail, token }: Evidence): Cause[] {
  const target = trail.seen[trail.last]?.packet;
  const isIn = trail.before?.direction === "in";
  if (!target) return [];
  const to = isIn ? target.source : question.destination;
  return routesTo(scene, to, question.family, failure, flowOf(question, token, isIn));
}
