/**
 * What is wrong, as data: a code, the place, the mechanism, and what it is about. Sentences are made
 * of it at the end (words.ts), so that a new wording changes no verdict.
 */
import type { Link } from "../netlink/mod.ts";
import type { Space } from "../netlink/view.ts";
import type { Proof, Values } from "./values.ts";
import type { Code } from "./words.ts";

export type { Proof, RuleRef, Values } from "./values.ts";

/** What can take a packet away. */
export type Mechanism =
  | "route"
  | "rule"
  | "neighbour"
  | "address"
  | "link"
  | "mtu"
  | "bridge-port"
  | "vlan"
  | "iptables"
  | "iptables-legacy"
  | "nftables"
  | "ebtables"
  | "arptables"
  | "tc"
  | "xdp"
  | "xfrm"
  | "cgroup"
  | "sysctl"
  | "conntrack"
  | "dns"
  | "listener"
  | "portmap"
  | "masquerade"
  | "duplicate"
  | "agent"
  | "state";

/** Where it does so. */
export type Place =
  | "container"
  | "host-veth"
  | "bridge"
  | "agent"
  | "uplink"
  | "neighbour"
  | "outside";

/** Something that is wrong with a network. */
export interface Cause extends Values {
  /** A stable word for scripts, such as `bridge_down`. */
  code: Code;
  /** `hint` for what may be meant so, and breaks nothing by itself. */
  level: "problem" | "hint";
  mechanism: Mechanism;
  place: Place;
  /** What was read or seen that shows it. */
  seen: readonly Proof[];
  fix?: Fix;
  /** The code of the cause that this one follows from. */
  consequenceOf?: Code;
}

/** A change that follows from what was seen: the very commands, each as its arguments. */
export interface Fix {
  commands: readonly (readonly string[])[];
  /** What it takes away, which somebody may have made on purpose; nothing for what is safe. */
  removes?: string;
}

export type Reason = readonly [mechanism: Mechanism, place: Place];

/** What a container has made for itself is not ours to change: its task may need it. */
const OF_ITS_OWN: readonly Mechanism[] = [
  ...["iptables", "iptables-legacy", "nftables", "ebtables", "arptables", "tc", "xdp"] as const,
];

/** The one place where causes are made: a remedy of what is a container's own is none. */
export function cause(
  code: Code,
  [mechanism, place]: Reason,
  values: Values,
  seen: readonly Proof[] = [],
  fix?: Fix,
): Cause {
  const isTheirs = (place === "container" || place === "neighbour") &&
    OF_ITS_OWN.includes(mechanism);
  return {
    ...{ code, level: "problem", mechanism, place, ...values, seen },
    fix: isTheirs ? undefined : fix,
  };
}

export function hint(
  code: Code,
  reason: Reason,
  values: Values,
  seen: readonly Proof[] = [],
): Cause {
  return { ...cause(code, reason, values, seen), level: "hint" };
}

export function isProblem({ level }: Cause): boolean {
  return level === "problem";
}

/**
 * A link that is down: its flags show it.
 *
 * @param again what went with it, and must be made again once it is up
 */
export function downCause(
  code: Code,
  place: Place,
  { name, flags }: Pick<Link, "name" | "flags">,
  values: Values = {},
  netns?: string,
  ...again: readonly string[][]
): Cause {
  const up = inNetns(netns, "ip", "link", "set", name, "up");
  const about = { device: name, ...values };
  return cause(code, ["link", place], about, [{ device: name, flags }], run(up, ...again));
}

/** `net.ipv4.ip_forward`, of its path below /proc/sys/net. */
export function sysctlName(path: string): string {
  return `net.${path.replaceAll("/", ".")}`;
}

/**
 * A setting of the kernel that must be another: its value shows it.
 *
 * @param path below /proc/sys/net. @param again what went with it, and must be made again
 */
export function settingCause(
  code: Code,
  place: Place,
  view: Pick<Space, "netns" | "setting">,
  [path, wanted]: readonly [path: string, wanted: number],
  values: Values,
  seen: readonly Proof[] = [],
  ...again: readonly string[][]
): Cause {
  const setting = sysctlName(path);
  const value = view.setting(path) ?? "0";
  const set = inNetns(view.netns, "sysctl", "-w", `${setting}=${wanted}`);
  const about = { setting, value, ...values };
  return cause(code, ["sysctl", place], about, [{ setting, value }, ...seen], run(set, ...again));
}

/** Commands that make something as it was given to be. */
export function run(...commands: readonly (readonly string[])[]): Fix {
  return { commands };
}

/** Commands that delete what somebody else has made. */
export function removing(removes: string, ...commands: readonly (readonly string[])[]): Fix {
  return { commands, removes };
}

/** What this program made it makes again, with its owner's mark, so that DEL and `gc` find it. */
export const RECOVER: Fix = { commands: [["mesos-cni", "isolator", "recover"]] };

/** A command in a container's network. */
export function inNetns(netns: string | undefined, ...command: readonly string[]): string[] {
  return netns === undefined ? [...command] : ["nsenter", `--net=${netns}`, ...command];
}
