/** What a diagnosis finds. */
import type { Scene } from "./scene.ts";

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

/** Something that is wrong with a container's network. */
export interface Finding {
  /** A stable word for scripts, such as `bridge_down`. */
  code: string;
  /** `hint` for what may be meant so: it makes nobody ill. */
  level: "problem" | "hint";
  mechanism: Mechanism;
  place: Place;
  /** One sentence that names the cause. */
  text: string;
  /** What was measured. */
  evidence: string[];
  /** What to do about it. */
  remedy: string;
  fix?: Fix;
  /** The code of the finding that this one follows from. */
  consequenceOf?: string;
}

/** A change that follows from what was seen. */
export interface Fix {
  /** What it does, as a question would ask for it: `bring eth0 up`. */
  what: string;
  /** The commands that do it, each as its arguments; the remedy shows them. */
  commands?: readonly (readonly string[])[];
  /** For what no command does. @throws {Error} */
  apply?(): void | Promise<void>;
}

/** Looks for one kind of cause. */
export type Probe = (scene: Scene) => Finding[] | Promise<Finding[]>;

export type Reason = [mechanism: Mechanism, place: Place];

/** A finding of a problem. */
export function problem(
  code: string,
  [mechanism, place]: Reason,
  text: string,
  evidence: string[],
  remedy: string,
  fix?: Fix,
): Finding {
  return { code, level: "problem", mechanism, place, text, evidence, remedy, fix };
}

/** A finding that is worth a look. */
export function hint(
  code: string,
  [mechanism, place]: Reason,
  text: string,
  evidence: string[],
  remedy: string,
): Finding {
  return { code, level: "hint", mechanism, place, text, evidence, remedy };
}

/** A command for a shell, for people to read and paste. */
export function shellText(command: readonly string[]): string {
  return command.map((word) =>
    /^[\w@%+=:,.\/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  )
    .join(" ");
}

/** The finding with its commands in its remedy, where that has told in words alone what they do. */
export function complete(finding: Finding): Finding {
  const commands = (finding.fix?.commands ?? []).map(shellText);
  if (commands.length === 0 || finding.remedy.includes(commands[0]!)) return finding;
  return { ...finding, remedy: `${commands.join(" && ")}: ${finding.remedy}` };
}

/** A command in a container's network. */
export function inNetns(netns: string | undefined, ...command: string[]): string[] {
  return netns === undefined ? command : ["nsenter", `--net=${netns}`, ...command];
}
