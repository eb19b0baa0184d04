/** Limits below which the kernel throws away what it should keep: pieces of packets, and connections. */
import type { Space } from "../../netlink/view.ts";
import { type Cause, cause, run, settingCause, sysctlName } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Scene } from "../scene.ts";

/** Below `least` nobody means it so; `usual` is the kernel's own. */
type Limit = readonly [path: string, least: number, usual: number];

/** The largest packet is 64 KiB, and its pieces must be kept for as long as the last is on its way. */
const PIECES: readonly Limit[] = [
  ["ipv4/ipfrag_high_thresh", 65_536, 4_194_304],
  ["ipv4/ipfrag_time", 1, 30],
  ["ipv6/ip6frag_high_thresh", 65_536, 4_194_304],
  ["ipv6/ip6frag_time", 1, 60],
  ["netfilter/nf_conntrack_frag6_high_thresh", 65_536, 4_194_304],
  ["netfilter/nf_conntrack_frag6_timeout", 1, 60],
];

const TIMEOUT = "netfilter/nf_conntrack_";
/** Seconds for which a connection is remembered without a packet. */
const CONNECTIONS: readonly Limit[] = ([
  ["udp_timeout", 3, 30],
  ["udp_timeout_stream", 3, 120],
  ["icmp_timeout", 2, 30],
  ["icmpv6_timeout", 2, 30],
  ["generic_timeout", 2, 600],
  ["tcp_timeout_syn_sent", 2, 120],
  ["tcp_timeout_syn_recv", 2, 60],
  ["tcp_timeout_established", 30, 432_000],
  ["tcp_timeout_fin_wait", 2, 120],
  ["tcp_timeout_close_wait", 2, 60],
  ["tcp_timeout_unacknowledged", 2, 300],
  ["tcp_timeout_max_retrans", 2, 300],
] as const).map(([name, least, usual]) => [`${TIMEOUT}${name}`, least, usual]);

function tooLow(space: Space, limits: readonly Limit[]): Limit[] {
  return limits.filter(([path, least]) => Number(space.setting(path) ?? least) < least);
}

function piecesLost(space: Space, place: "agent" | "container", container?: string): Cause[] {
  return tooLow(space, PIECES).map(([path, , usual]) =>
    settingCause("fragments_lost", place, space, [path, usual], { container })
  );
}

/** @param protocol as the settings have it, whose timeouts are asked about; of all where it is absent */
export function forgetful(host: Space, protocol = ""): Cause[] {
  const low = tooLow(host, CONNECTIONS);
  if (!low.some(([path]) => path.startsWith(`${TIMEOUT}${protocol}`))) return [];
  const seen = low.map(([path]) => ({ setting: sysctlName(path), value: host.setting(path)! }));
  const set = low.map(([path, , usual]) => `${sysctlName(path)}=${usual}`);
  return [cause(
    "conntrack_timeout",
    ["conntrack", "agent"],
    { value: seen.map(({ setting, value }) => `${setting} is ${value} s`).join(", ") },
    seen,
    run(["sysctl", "-w", ...set]),
  )];
}

export function readAgentsLimits({ host }: { readonly host: Space }): Look {
  const kept = [...PIECES, ...CONNECTIONS].filter(([path]) => host.setting(path) !== undefined);
  return kept.length === 0
    ? nothing("the kernel has no such limits here")
    : saw(`${kept.length} limits`, [...piecesLost(host, "agent"), ...forgetful(host)]);
}

export function readOwnLimits({ inside, name }: Scene): Look {
  return inside.setting(PIECES[0]![0]) === undefined
    ? nothing("the kernel has no such limits here")
    : saw("limits of fragments", piecesLost(inside, "container", name));
}
