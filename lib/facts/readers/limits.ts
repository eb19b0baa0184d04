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
function tooLow(
  space: Space,
  limits: readonly Limit[],
  values = space.settingsOf(limits.map(([path]) => path)),
): Limit[] | undefined {
  if (limits.every((_, i) => values[i] === undefined)) return undefined;
  return limits.filter(([, least], i) => Number(values[i] ?? least) < least);
}

/** A problem where the kernel has counted what it could not put together: not to do so may be meant. */
function piecesLost(
  space: Space,
  place: "agent" | "container",
  container?: string,
  values?: (string | undefined)[],
) {
  return tooLow(space, PIECES, values)?.map(([path, least]) => {
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

export const RANGE = "ipv4/ip_local_port_range";
const PORTS = [RANGE, "ipv4/ip_local_reserved_ports"];

/** What the kernel gives out for connections, of the values of {@link PORTS}; undefined where it does not say. */
function portsOf([range, without = ""]: readonly (string | undefined)[]) {
  if (range === undefined) return undefined;
  const value = range.replace(/\s+/, " ");
  const [first = 0, last = 0] = value.split(" ").map(Number);
  // As `80,8000-8010`, each once.
  const reserved = without.split(",").flatMap((part) => {
    const [from = 0, to = from] = part.split("-").map(Number);
    const count = Math.min(to, last) - Math.max(from, first) + 1;
    return part !== "" && count > 0 ? [{ part, count }] : [];
  });
  const left = reserved.reduce((sum, { count }) => sum - count, last - first + 1);
  return { value, why: reserved.map(({ part }) => part).join(",") || undefined, left };
}

/** The kernel has no port for a connection of a container's, or without one of the agent's, to an address or to any. */
export function portsUsedUp(
  view: Space,
  { container, address }: Pick<Cause, "container" | "address">,
  seen: readonly string[],
): Cause {
  const { value, why, left } = portsOf(view.settingsOf(PORTS)) ?? {};
  const other = why === undefined ? "all of them" : "the others";
  const where = left === 0 ? {} : { address, other };
  return cause(
    "local_ports_used_up",
    ["sysctl", container === undefined ? "agent" : "container"],
    { container, setting: sysctlName(RANGE), value, why, ...where },
    seen,
  );
}

export function readOwnLimits({ inside, name: container }: Scene): Look {
  // The namespace is entered once: `list` reads each container's.
  const values = inside.settingsOf([...PIECES.map(([path]) => path), ...PORTS]);
  const pieces = piecesLost(inside, "container", container, values);
  const { left } = portsOf(values.slice(PIECES.length)) ?? {};
  if (pieces === undefined && left === undefined) return NO_LIMITS;
  const seen = `limits of fragments; ${left} ports that are not reserved`;
  const none = left === 0 ? [portsUsedUp(inside, { container }, [seen])] : [];
  return saw(seen, [...pieces ?? [], ...none]);
}
