/** Rules as values: all that this program writes, and as much as it understands of others'. */
import { OperatorError } from "../base/error.ts";
import { canonicalAddress, type Family, familyOfKnown, networkText } from "../base/ip.ts";
import { type ConntrackState, LONGEST_COMMENT } from "../nft/compat.ts";
import { commentTooLong, type TransportProtocol } from "../nft/wire.ts";

/** A chain of iptables (family 4) or ip6tables (6). */
export interface Place {
  family: Family;
  table: "nat" | "filter" | "raw";
  chain: string;
}

/** What a rule does with a packet that it matches. */
export type RuleTarget =
  | { verdict: "ACCEPT" | "DROP" | "RETURN" }
  | { jump: string }
  | { dnat: { address: string; port: number } }
  | { masquerade: true };

/** What a packet must be, listed in the order in which iptables prints it. */
export interface Matches {
  /** `-s`. */
  source?: Network;
  /** `-d`. */
  destination?: Network;
  /** `-i`; a `+` at its end stands for any rest. */
  inDevice?: Negatable<string>;
  /** `-o`. */
  outDevice?: Negatable<string>;
  /** `-p P -m P --dport N`. */
  port?: { protocol: TransportProtocol; number: number };
  /** `-m addrtype --dst-type LOCAL`. */
  toLocal?: true;
  /** `-m conntrack --ctstate …`. */
  states?: Negatable<readonly ConntrackState[]>;
  /**
   * What only iptables itself has words for, as on its command line: its program writes such a rule,
   * also where nf_tables has it.
   */
  words?: readonly string[];
}

export interface FirewallRule extends Place, Matches {
  /** `-m comment --comment …`, at most 255 bytes without line breaks: says whose the rule is. */
  comment?: string;
  target: RuleTarget;
}

/** A rule that is there, whoever wrote it: `unknown` holds what this program has no word for. */
export interface FoundRule extends Place, Matches {
  comment?: string;
  /** Absent for a rule that only counts. */
  target?: RuleTarget | { goto: string } | { other: string };
  unknown: readonly string[];
  /** By which its driver finds it again: the kernel's handle, or the line of `iptables-save`. */
  id: string;
}

/** With `not`, the rule matches everything else. */
export interface Negatable<T> {
  is: T;
  not?: boolean;
}

/** An address with the length of its prefix. */
export interface Network {
  address: string;
  prefixLength: number;
  not?: boolean;
}

/** `192.168.0.0/16` as a value. */
export function network(cidr: string, not = false): Network {
  const [address, length] = cidr.split("/");
  return { address: address!, prefixLength: Number(length), not };
}

/** The network that holds one address. */
export function single(address: string): Network {
  return { address, prefixLength: familyOfKnown(address) === 6 ? 128 : 32 };
}

/** The address that a network is, if it holds one alone. */
export function singleOf(one: Network | undefined): string | undefined {
  return one && !one.not && one.prefixLength === single(one.address).prefixLength
    ? one.address
    : undefined;
}

/** As `iptables-save` prints it: also what `iptables-restore` reads. */
export function ruleLine(rule: FirewallRule | FoundRule): string {
  const { chain, source, destination, inDevice, outDevice, port, toLocal, states, comment } = rule;
  return [
    `-A ${chain}`,
    networkMatch("-s", source),
    networkMatch("-d", destination),
    inDevice && `${inDevice.not ? "! " : ""}-i ${inDevice.is}`,
    outDevice && `${outDevice.not ? "! " : ""}-o ${outDevice.is}`,
    port && `-p ${port.protocol} -m ${port.protocol} --dport ${port.number}`,
    toLocal && "-m addrtype --dst-type LOCAL",
    states && `-m conntrack ${states.not ? "! " : ""}--ctstate ${states.is.join(",")}`,
    ..."unknown" in rule ? rule.unknown : rule.words ?? [],
    comment !== undefined && `-m comment --comment ${quotedComment(comment)}`,
    rule.target && targetText(rule.target),
  ].filter((part) => part).join(" ");
}

/**
 * Whether a rule that is there can be one that was written with words: how iptables prints them, and
 * nf_tables has them, is not how they were written.
 */
export function isAsWorded(wanted: FirewallRule, found: FoundRule): boolean {
  const plain = ({ port, target, comment }: FirewallRule | FoundRule) =>
    JSON.stringify([port, target, comment]);
  return wanted.words !== undefined && found.unknown.length > 0 && plain(wanted) === plain(found);
}

/** iptables prints no match for a prefix of length 0, which every address has. */
function networkMatch(flag: string, wanted: Network | undefined): string | undefined {
  if (!wanted || wanted.prefixLength === 0) return undefined;
  return `${wanted.not ? "! " : ""}${flag} ${networkText(wanted.address, wanted.prefixLength)}`;
}

/** iptables puts quotes around what is more than one plain word (xtables_save_string). */
export function quotedComment(comment: string): string {
  if (/[\n\r\0]/.test(comment)) {
    throw new OperatorError(
      "bad_comment",
      `a comment with a line break: ${JSON.stringify(comment)}`,
    );
  }
  if (comment.length > LONGEST_COMMENT) throw commentTooLong(comment);
  return quoted(comment);
}

/** The same of any text, which may be in no rule. */
export function quoted(comment: string): string {
  return /^[A-Za-z0-9_-]+$/.test(comment)
    ? comment
    : `"${comment.replaceAll(/(["\\'])/g, "\\$1")}"`;
}

function targetText(target: NonNullable<FoundRule["target"]>): string {
  if ("verdict" in target) return `-j ${target.verdict}`;
  if ("jump" in target) return `-j ${target.jump}`;
  if ("goto" in target) return `-g ${target.goto}`;
  if ("other" in target) return `-j ${target.other}`;
  if ("masquerade" in target) return "-j MASQUERADE";
  const { port } = target.dnat;
  const address = canonicalAddress(target.dnat.address);
  const host = familyOfKnown(address) === 6 ? `[${address}]` : address;
  return `-j DNAT --to-destination ${host}:${port}`;
}

/** The chain that a rule goes on to, and comes back from. */
export function jumpOf({ target }: { target?: FoundRule["target"] }): string | undefined {
  return target && "jump" in target ? target.jump : undefined;
}

/** A rule of which nothing is known yet but where it is. */
export function foundAt(
  { family, table, chain }: Place,
  id: string,
): FoundRule & { unknown: string[] } {
  return { family, table, chain, unknown: [], id };
}

/** A match of a protocol alone, without a port, is none that this program has a word for. */
export function withoutBareProtocol(rule: FoundRule & { unknown: string[] }): FoundRule {
  if (rule.port?.number !== 0) return rule;
  rule.unknown.push(`-p ${rule.port.protocol}`);
  delete rule.port;
  return rule;
}
