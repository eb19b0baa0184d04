/** Limits below which the kernel throws away what it should keep: pieces of packets, and connections. */
import type { Space } from "../../netlink/view.ts";
import { type Cause, cause, run, settingCause, sysctlName } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Scene } from "../scene.ts";

/** Below `least` something may be lost that others keep: it may be meant so. */
type Limit = readonly [path: string, least: number];

/** The largest packet is 64 KiB, and its pieces must be kept for as long as the last is on its way. */
const PIECES: readonly Limit[] = [
  ["ipv4/ipfrag_high_thresh", 262_144],
  ["ipv4/ipfrag_time", 1],
  ["ipv6/ip6frag_high_thresh", 262_144],
  ["ipv6/ip6frag_time", 1],
  ["netfilter/nf_conntrack_frag6_high_thresh", 262_144],
  ["netfilter/nf_conntrack_frag6_timeout", 1],
];

const TIMEOUT = "netfilter/nf_conntrack_";
/** Seconds for which a connection is remembered without a packet. */
const CONNECTIONS: readonly Limit[] = ([
  ["udp_timeout", 3],
  ["udp_timeout_stream", 3],
  ["icmp_timeout", 2],
  ["icmpv6_timeout", 2],
  ["generic_timeout", 2],
  ["tcp_timeout_syn_sent", 2],
  ["tcp_timeout_syn_recv", 2],
  ["tcp_timeout_established", 60],
  ["tcp_timeout_fin_wait", 2],
  ["tcp_timeout_close_wait", 2],
  ["tcp_timeout_unacknowledged", 2],
  ["tcp_timeout_max_retrans", 2],
] as const).map(([name, least]) => [`${TIMEOUT}${name}`, least]);
/** What the kernel itself takes for a datagram: no table is filled by it. */
const ENOUGH = 30;
/** A second is shorter than answers take that nobody calls slow; and who has a connection pauses as he likes. */
const TOO_SHORT = 1;
const BETWEEN_REQUESTS = `${TIMEOUT}tcp_timeout_established`;

/** Undefined where the kernel has none of these. */
function tooLow(space: Space, limits: readonly Limit[]): Limit[] | undefined {
  const values = space.settingsOf(limits.map(([path]) => path));
  if (values.every((value) => value === undefined)) return undefined;
  return limits.filter(([, least], i) => Number(values[i] ?? least) < least);
}

/** A problem where the kernel has counted what it could not put together: not to do so may be meant. */
function piecesLost(space: Space, place: "agent" | "container", container?: string) {
  return tooLow(space, PIECES)?.map(([path, least]) => {
    const counter = path.startsWith("ipv4/") ? ["snmp", "ReasmFails"] : ["snmp6", "Ip6ReasmFails"];
    const lost = space.counted(...counter as ["snmp", string]);
    const seen = [`${counter[1]} of /proc/net/${counter[0]} is ${lost}`];
    const found = settingCause("fragments_lost", place, space, [path, least], { container }, seen);
    return lost > 0 ? found : asHint(found);
  });
}

function asHint(one: Cause): Cause {
  return { ...one, level: "hint", fix: undefined };
}

/** @param protocol as the settings have it, of whose connections one was lost */
export function forgetful(host: Space, protocol?: string): Cause[] {
  const low = (tooLow(host, CONNECTIONS) ?? []).filter(([path]) =>
    path.startsWith(`${TIMEOUT}${protocol ?? ""}`)
  );
  if (low.length === 0) return [];
  const seen = low.map(([path]) => ({ setting: sysctlName(path), value: host.setting(path)! }));
  const set = low.map(([path, least]) => `${sysctlName(path)}=${Math.max(ENOUGH, 10 * least)}`);
  const found = cause(
    "conntrack_timeout",
    ["conntrack", "agent"],
    { value: seen.map(({ setting, value }) => `${setting} is ${value} s`).join(", ") },
    seen,
    run(["sysctl", "-w", ...set]),
  );
  const isLost = protocol !== undefined ||
    seen.some(({ value }) => Number(value) <= TOO_SHORT) ||
    low.some(([path]) => path === BETWEEN_REQUESTS);
  return [isLost ? found : asHint(found)];
}

const NO_LIMITS = nothing("the kernel has no such limits here");

export function readAgentsLimits({ host }: { readonly host: Space }): Look {
  const pieces = piecesLost(host, "agent");
  return pieces === undefined && tooLow(host, CONNECTIONS) === undefined
    ? NO_LIMITS
    : saw("limits of fragments and connections", [...pieces ?? [], ...forgetful(host)]);
}

export function readOwnLimits({ inside, name }: Scene): Look {
  const pieces = piecesLost(inside, "container", name);
  return pieces === undefined ? NO_LIMITS : saw("limits of fragments", pieces);
}
