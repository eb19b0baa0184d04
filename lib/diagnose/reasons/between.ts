/** What stands between two hops: settings of the bridge, and programs that hook in there. */
import { tcxPrograms } from "../../kernel/bpf.ts";
import type { Case } from "../case.ts";
import type { Stop } from "../journey.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import { portReasonsOfBridge } from "./bridge_port.ts";
import { xdpFinding, xdpOf } from "./programs.ts";

/** Where a frame gets lost within the bridge. */
export function bridgeReasons({ scene, trail, session, token, question }: Case): Finding[] {
  const found = scene.interfaces.flatMap((attached) =>
    portReasonsOfBridge(scene, attached, session.of(token), trail, question.far)
  );
  return found.slice(0, 1);
}

/** Programs and filters that hook in between and can't be read: said, not judged; unless it is certain. */
export async function hooks(
  { trail, session }: Pick<Case, "trail" | "session">,
): Promise<Finding[]> {
  const stops = [trail.before?.stop, trail.after?.stop].filter((one) => one !== undefined);
  for (const stop of stops) {
    const xdp = await xdpOf(stop);
    if (xdp !== undefined && trail.after?.direction === "in" && stop === trail.after.stop) {
      return [xdpFinding(stop, xdp, ["nothing else is between these hops"])];
    }
  }
  const queue = queueReasons(session, stops);
  if (queue.length > 0) return queue;
  for (const stop of stops) {
    const direction = stop === trail.before?.stop ? "ingress" : "egress";
    const count = tcxPrograms(stop.link.index, direction, stop.point.netns);
    if (count === 0) continue;
    return [problem(
      "tcx_not_judged",
      ["tc", stop.place],
      `${count} program${
        count > 1 ? "s" : ""
      } of tcx at the ${direction} of ${stop.point.name} stand where the packet is lost`,
      ["what they do can't be read"],
      `see whose they are: bpftool net show dev ${stop.link.name}`,
    )];
  }
  return [];
}

/** A queue or a filter of tc at one of these stops whose counter of drops grew meanwhile. */
export function queueReasons(session: Case["session"], stops: readonly Stop[]): Finding[] {
  const grown = session.grown.filter((one) => one.startsWith("tc\t")).map((one) => one.split("\t"));
  for (const stop of stops) {
    const hit = grown.find(([, netns, device]) =>
      (netns || undefined) === stop.point.netns && device === stop.link.name
    );
    if (!hit) continue;
    const [, , device, kind, name] = hit as [string, string, string, string, string];
    const command = inNetns(
      stop.point.netns,
      ...kind === "qdisc"
        ? [
          "tc",
          "qdisc",
          "del",
          "dev",
          device,
          name.includes("ingress") || name.includes("clsact") ? "clsact" : "root",
        ]
        : ["tc", "filter", "del", "dev", device, kind.split(" ")[1]!],
    );
    return [problem(
      "tc_drop",
      ["tc", stop.place],
      `tc's ${kind} on ${device} drops packets: ${name}`,
      ["its counter of drops grew while the packet was lost"],
      `look at it (tc -s ${
        kind.split(" ")[0]
      } show dev ${device}), and delete it if it is not meant so: ${shellText(command)}`,
      { what: `delete that ${kind} of ${device}`, commands: [command] },
    )];
  }
  return [];
}
