/** What the kernel itself says of a drop (enum skb_drop_reason), and of rules that are only counted. */
import { tcxPrograms } from "../../kernel/bpf.ts";
import { type Finding, inNetns, type Place, problem, type Reason, shellText } from "../finding.ts";
import type { Drop } from "../observe/drops.ts";
import { tcxFinding, xdpFinding, xdpOf } from "./programs.ts";
import { words } from "./rule_text.ts";
import type { Question } from "../questions/question.ts";
import type { Trail } from "../place.ts";
import type { Scene } from "../scene.ts";

/** Where a device is. */
export function placeOfDevice(scene: Scene, device: string): Place {
  for (const { ifName, hostEnd, bridge } of scene.interfaces) {
    if (hostEnd?.name === device) return "host-veth";
    if (bridge?.name === device) return "bridge";
    if (ifName === device) return scene.host.link(device) ? "uplink" : "container";
  }
  return scene.uplink(4)?.link.name === device || scene.uplink(6)?.link.name === device
    ? "uplink"
    : "agent";
}

export async function dropReasons(
  scene: Scene,
  question: Question,
  drops: readonly Drop[],
  grown: readonly string[],
  trail: Trail,
): Promise<Finding[]> {
  const legacy = legacyReasons(scene, question, drops, grown);
  if (legacy.length > 0) return legacy;
  for (const drop of drops) {
    const found = await explain(scene, question, drop, grown, trail);
    if (found) return [found];
  }
  return [];
}

async function explain(
  scene: Scene,
  question: Question,
  drop: Drop,
  grown: readonly string[],
  { before, after, journey }: Trail,
): Promise<Finding | undefined> {
  const { reason, device, location } = drop;
  // Two namespaces have links of one name: the one where the packet was lost is meant.
  const stop = [after, before, ...journey.legs].find((leg) => leg?.stop.link.name === device)?.stop;
  const place = stop?.place ?? placeOfDevice(scene, device);
  const seen = [
    `the kernel dropped the packet on ${device || "no device"}: ${reason}${
      location ? ` in ${location}` : ""
    }`,
  ];
  const finding = (
    cause: string,
    of: Reason,
    text: string,
    remedy: string,
    commands?: string[][],
  ) =>
    problem(
      cause,
      of,
      text,
      seen,
      commands ? `${remedy}: ${commands.map(shellText).join(" && ")}` : remedy,
      commands && { what: remedy, commands },
    );
  const netns = stop ? stop.point.netns : place === "container" ? scene.inside.netns : undefined;
  switch (reason) {
    case "IP_RPFILTER": {
      const view = netns === undefined ? scene.host : scene.inside;
      const strict = ["all", device].filter((one) =>
        view.setting(`ipv4/conf/${one}/rp_filter`) === "1"
      );
      return finding(
        "rp_filter",
        ["sysctl", place],
        `the reverse-path filter (rp_filter) of ${device}${
          netns ? ` in ${scene.name}` : ""
        } drops what comes from ${drop.packet?.source}`,
        `its route to ${drop.packet?.source} leads elsewhere: correct that route, or make the filter loose`,
        [inNetns(netns, "sysctl", "-w", `net.ipv4.conf.${strict.at(-1) ?? device}.rp_filter=2`)],
      );
    }
    case "XDP":
      return stop && xdpFinding(stop, await xdpOf(stop), seen);
    case "TC_INGRESS":
    case "TC_EGRESS": {
      const direction = reason === "TC_INGRESS" ? "ingress" : "egress";
      const isTcx = stop && tcxPrograms(stop.link.index, direction, netns) > 0;
      if (isTcx) return tcxFinding(stop, direction, seen);
      return finding(
        "tc_drop",
        ["tc", place],
        `a filter of tc at the ${direction} of ${device} drops the packet`,
        `see it and delete it`,
        [inNetns(netns, "tc", "filter", "del", "dev", device, direction)],
      );
    }
    case "QDISC_DROP":
    case "QDISC_OVERLIMIT":
    case "QDISC_CONGESTED":
    case "FQ_BAND_LIMIT":
    case "FQ_FLOW_LIMIT": {
      const queue = grown.map((one) => one.split("\t")).filter(([kind, space, name, what]) =>
        kind === "tc" && (space || undefined) === netns && name === device && what === "qdisc"
      ).map((one) => one[4]).join(", ");
      return finding(
        "qdisc_drop",
        ["tc", place],
        `the queue (qdisc${queue ? ` ${queue}` : ""}) of ${device} drops the packet`,
        `look at its limits (tc -s qdisc show dev ${device})`,
        [inNetns(netns, "tc", "qdisc", "del", "dev", device, "root")],
      );
    }
    case "BRIDGE_INGRESS_STP_STATE":
      return finding(
        "port_state",
        ["bridge-port", "host-veth"],
        `the bridge's port ${device} is not in the state forwarding`,
        "put it there",
        [["bridge", "link", "set", "dev", device, "state", "3"]],
      );
    case "SOCKET_BACKLOG":
    case "TCP_LISTEN_OVERFLOW":
      return finding(
        "backlog_full",
        [question.topic === "agent" ? "agent" : "listener", question.journey.to],
        `the listener on port ${
          question.realPort ?? question.port
        } has no room for another connection`,
        "its process does not accept what waits: look at that process, or let it listen with a larger backlog",
      );
    case "PKT_TOO_BIG":
      return finding(
        "mtu_too_small",
        ["mtu", place],
        `${device} takes no packet of that size`,
        `compare the MTU of ${device} with that of the container's interface`,
      );
    case "UNICAST_IN_L2_MULTICAST":
    case "OTHERHOST":
      return undefined;
    case "NETFILTER_DROP": {
      const count = Number(scene.host.setting("netfilter/nf_conntrack_count") ?? 0);
      const most = Number(scene.host.setting("netfilter/nf_conntrack_max") ?? 0);
      if (most > 0 && count >= most * 0.9) {
        // It is the machine's, and only its first network namespace may change it.
        const isOurs = scene.host.mayChange("netfilter/nf_conntrack_max");
        return finding(
          "conntrack_full",
          ["conntrack", "agent"],
          "the agent's connection tracking table is full: new connections are dropped",
          isOurs
            ? "make room"
            : `make room: raise net.netfilter.nf_conntrack_max, now ${most}, in the machine's first network namespace`,
          isOurs ? [["sysctl", "-w", `net.netfilter.nf_conntrack_max=${most * 2}`]] : undefined,
        );
      }
      return undefined;
    }
    default:
      return undefined;
  }
}

/** A rule of iptables-legacy that counted while the probe was under way. */
export interface LegacyRule {
  program: string;
  netns?: string;
  table: string;
  /** As iptables-save writes it. */
  rule: string;
}

export function grownLegacy(grown: readonly string[], family: 4 | 6): LegacyRule[] {
  return grown.filter((one) => one.startsWith("legacy\t")).map((one) => {
    const [, program = "", space, table = "", rule = ""] = one.split("\t");
    return { program, netns: space || undefined, table, rule };
  }).filter(({ program }) => program.startsWith("ip6") === (family === 6));
}

/** Rules of iptables-legacy are not traced: what counted while the probe was dropped did it. */
export function legacyReasons(
  scene: Scene,
  question: Question,
  drops: readonly Drop[],
  grown: readonly string[],
): Finding[] {
  if (drops.length > 0 && !drops.some(({ reason }) => reason === "NETFILTER_DROP")) return [];
  return grownLegacy(grown, question.family).flatMap(({ program, netns, table, rule }) => {
    if (!/^-P| -j (DROP|REJECT)\b/.test(rule)) return [];
    const place: Place = netns === undefined
      ? "agent"
      : netns === scene.inside.netns
      ? "container"
      : "neighbour";
    const chain = rule.split(" ")[1]!;
    const isPolicy = rule.startsWith("-P");
    const attached = scene.interfaces[0];
    const device = attached?.ingress?.name ?? attached?.ifName ?? "lo";
    const remove = isPolicy
      ? ["-i", "-o"].filter((way) =>
        !(chain === "INPUT" && way === "-o") && !(chain === "OUTPUT" && way === "-i")
      )
        .map((way) =>
          inNetns(netns, program, "-w", "-t", table, "-I", chain, way, device, "-j", "ACCEPT")
        )
      : [inNetns(netns, program, "-w", "-t", table, "-D", ...words(rule).slice(1))];
    return [problem(
      isPolicy ? "policy_drop" : "rule_drop",
      ["iptables-legacy", place],
      isPolicy
        ? `the policy of ${program} ${table} ${chain} drops the packet`
        : `a rule of ${program} ${table} ${chain} drops the packet: ${rule}`,
      ["its counter grew while the packet was lost"],
      `${isPolicy ? "let it pass" : "if it is not meant so, delete it"}: ${
        remove.map(shellText).join(" && ")
      }`,
      { what: isPolicy ? `let it pass in ${chain}` : "delete that rule", commands: remove },
    )];
  }).slice(0, 1);
}
