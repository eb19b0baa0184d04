/** Can an executor reach the agent, by an address of the container's own family? */
import { endsOf, toWire, wayTo } from "../journey.ts";
import { AGENT_PORT } from "../../facts/readers/agent.ts";
import type { Attached, Scene } from "../../facts/scene.ts";
import type { Kernel } from "../observe/kernel.ts";
import { askListener } from "./listener.ts";
import { askedForBy, type Question, unasked } from "./question.ts";

export function agentQuestions(
  scene: Scene,
  kernel: Pick<Kernel, "listeners">,
  given?: { address: string; port: number },
): Question[] {
  const attached = scene.interfaces.find(({ link }) => link !== undefined);
  const ends = attached && endsOf(scene, attached);
  if (!attached || !ends) return [];
  const families = scene.interfaces.flatMap(({ expected }) => expected.map(({ family }) => family));
  // A macvlan never reaches the device below it: nobody expects it to.
  const isBelow = ["macvlan", "ipvlan"].includes(attached.link!.kind ?? "");
  const family = families.includes(4) || families.length === 0 ? 4 : 6;
  const address = given?.address ?? scene.uplink(family)?.agentAddress;
  if (address === undefined) return [];
  const port = given?.port ?? AGENT_PORT;
  const isLocal = scene.host.ownerOf(address) !== undefined;
  const path = isBelow ? toWire(ends) : wayTo(scene, ends, address);
  return [{
    topic: "agent",
    text: `reaches the agent at ${address} port ${port}`,
    family: address.includes(":") ? 6 : 4,
    journey: path,
    protocol: "tcp",
    destination: address,
    port,
    neighbours: askedForBy(scene, attached),
    async ask(token, session, nth) {
      // A stock agent's container has an executor that must register; others may have no agent at all.
      const isExecutor = scene.container?.keeper === "agent";
      if (!given && !isExecutor && isLocal && kernel.listeners("tcp", port).length === 0) {
        return unasked("nobody listens, where an agent would by default");
      }
      const at = isLocal ? { space: scene.host, port } : undefined;
      const probe = { ...scene.task, address, port, token };
      // It speaks HTTP.
      const listening = { at, journey: path, payload: true };
      const answer = await askListener(probe, listening, session, nth);
      const outcome = answer.failure?.kind === "errno" ? answer.failure.errno : undefined;
      if (!given && isBelow && answer.outcome === "failed") {
        return unasked("a container on a macvlan never reaches the agent's device below it");
      }
      if (!given && outcome === "ENETUNREACH" && isClosed(attached)) {
        return unasked("its network leads nowhere, by its config");
      }
      return answer;
    },
  }];
}

/** A network without routes on which the agent has no address of its own is meant to be closed. */
function isClosed({ checkpoint, routedByAgent }: Attached): boolean {
  return (checkpoint?.result?.routes.length ?? 0) === 0 && !routedByAgent;
}
