/** What the kernel itself says of a drop (enum skb_drop_reason). */
import { type Cause, cause, type Place, settingCause } from "../../facts/cause.ts";
import { conntrackFull } from "../../facts/readers/agent.ts";
import { stateCause } from "../../facts/readers/bridge.ts";
import type { Space } from "../../netlink/view.ts";
import type { Evidence } from "../evidence.ts";
import { findInode } from "../../kernel/proc.ts";
import { goes, type Stop } from "../journey.ts";
import type { Seen } from "../packets/frame.ts";
import { backlogFull } from "./listener.ts";
import { type Hook, hookOf, tcCause, tcHit, tcxCause, xdpCause } from "./programs.ts";
import type { Reader } from "./reader.ts";

export const kernelReason: Reader = (e) => {
  for (const drop of e.drops) {
    const { reason, device, location, packet, namespace } = drop;
    const [, read] = READERS.find(([reasons]) => reasons.test(reason)) ?? [];
    const found = read?.(e, placed(e, device, namespace), packet);
    if (found) return [{ ...found, seen: [{ drop: reason, device, location }, ...found.seen] }];
  }
  return [];
};

/** Two namespaces have links of one name: the one where the packet was lost is meant. */
function placed(
  { scene, trail: { before, after, journey } }: Evidence,
  device: string,
  namespace: number | undefined,
): Hook {
  const isThere = ({ link, netns }: Stop) =>
    link.name === device &&
    (namespace === undefined || findInode(netns ?? "/proc/thread-self/ns/net") === namespace);
  const leg = [after, before, ...journey.legs].find((one) => one && isThere(one.stop));
  if (leg) return hookOf(leg.stop);
  const place = scene.placeOf(device);
  return { device, place, netns: place === "container" ? scene.inside.netns : undefined };
}

type ReasonReader = (e: Evidence, at: Hook, packet?: Seen) => Cause | undefined;

const ofFilter = (direction: "ingress" | "egress"): ReasonReader => (e, at) =>
  at.stop && e.kernel.tcx(at.stop, direction) > 0
    ? tcxCause(e.kernel, at.stop, direction)
    : tcCause(at, tcHit(at, e.grown, ["filter"]), direction);

/** By the names of reasons, as the kernel's headers have them (net/dropreason-core.h). */
const READERS: readonly [RegExp, ReasonReader][] = [
  [/^IP_RPFILTER$/, ({ scene: { host, inside, name } }, { device, netns, place }, packet) => {
    const [view, container] = netns === undefined ? [host] : [inside, name];
    // A loose one drops what comes from where no route leads: then the route is the cause.
    return isStrict(view, device)
      ? rpFilter(view, device, place, packet?.source, container)
      : undefined;
  }],
  [/^OTHERHOST$/, ({ trail: { journey, seen } }, { device, place }) => {
    // What goes to another station is none of its kernel's, and whoever sent it has a wrong entry.
    const i = journey.legs.findIndex(({ stop, direction }, i) =>
      direction === "in" && stop.link.name === device && seen[i]?.to !== undefined &&
      seen[i].to !== stop.link.mac
    );
    const at = seen[i];
    if (place !== "uplink" || !at) return undefined;
    const { source, destination: address } = at.packet;
    const about = { address, device, mac: at.to!, wanted: journey.legs[i]!.stop.link.mac };
    return cause("wrong_mac", ["neighbour", "outside"], { ...about, other: source }, [
      `what came in by ${device} from ${source} is for ${at.to}`,
    ]);
  }],
  [/^XDP$/, ({ kernel }, { stop }) => stop && xdpCause(kernel, stop)],
  [/^TC_INGRESS$/, ofFilter("ingress")],
  [/^TC_EGRESS$/, ofFilter("egress")],
  // What a queue holds is no drop of which the kernel would speak.
  [
    /^(QDISC|FQ)_/,
    (e, at) =>
      tcCause(
        at,
        tcHit(at, e.grown.filter((one) => one.kind === "qdisc" && one.held === undefined)),
      ),
  ],
  [/^BRIDGE_INGRESS_STP_STATE$/, ({ scene }, { device, stop }) => {
    const port = stop?.link ?? scene.host.link(device);
    return port && stateCause(scene, port, "host-veth");
  }],
  [
    /^BPF_CGROUP_EGRESS$/,
    // The sockets of questions are in the namespace of the container, and in this program's cgroup.
    ({ token }, { place, stop }, packet) =>
      packet && goes(packet, "there", token)
        ? cause("cgroup_drop", ["cgroup", "agent"], { why: "asked" })
        : cause("cgroup_drop", ["cgroup", place], { container: stop?.owner }),
  ],
  [
    /^SOCKET_FILTER$/,
    (_, { place, stop }) =>
      cause("cgroup_drop", ["cgroup", place], { container: stop?.owner, why: "what comes" }),
  ],
  [/^(SOCKET_BACKLOG|TCP_LISTEN_OVERFLOW)$/, (e) => backlogFull(e)],
  [/_CSUM$/, (_, { device, place }) => cause("bad_checksum", ["link", place], { device })],
  [
    /^PKT_TOO_BIG$/,
    (_, { device, place }) =>
      cause("mtu_too_small", ["mtu", place], { device, why: "the kernel's word" }),
  ],
  [/^NETFILTER_DROP$/, ({ scene }) => conntrackFull(scene.host, 0.9)],
];

const filterPath = (device: string) => `ipv4/conf/${device}/rp_filter`;

/** Whether the reverse-path filter of a device asks for a route back by that device. */
export function isStrict(view: Space, device: string): boolean {
  // Of the two, the larger number counts: 1 is strict, 2 loose.
  const settings = ["all", device].map((one) => Number(view.setting(filterPath(one)) ?? 0));
  return Math.max(...settings) === 1;
}

/** @param view the namespace of the device, whose settings decide */
export function rpFilter(
  view: Space,
  device: string,
  place: Place,
  source: string | undefined,
  container?: string,
): Cause {
  const strict = [device, "all"].find((one) => view.setting(filterPath(one)) === "1") ?? device;
  const { route, link } = source === undefined ? {} : view.wayTo(source);
  const why = route ? `to ${link?.name ?? "another link"}` : "nowhere";
  const values = { container, family: 4, device, address: source, why } as const;
  return settingCause("rp_filter", place, view, [filterPath(strict), 2], values);
}
