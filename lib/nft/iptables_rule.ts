/**
 * Rules of iptables as values, which are written in two ways that mean the same: as
 * `iptables-save` prints them, and as the expressions that iptables-nft (1.8) makes of them.
 */
import { OperatorError } from "../base/error.ts";
import { addressBytes, addressText, type Family, familyOfKnown, networkBytes } from "../base/ip.ts";
import {
  bitwise,
  compare,
  counter,
  type Expression,
  meta,
  payload,
  verdict,
} from "./expressions.ts";
import {
  commentMatch,
  type ConntrackState,
  conntrackState,
  dnatTarget,
  localDestination,
  masqueradeTarget,
  sctpPort,
} from "./compat.ts";

export type TransportProtocol = "tcp" | "udp" | "sctp";
/** IPPROTO_*. */
export const PROTOCOL_NUMBERS: Readonly<Record<TransportProtocol, number>> = {
  tcp: 6,
  udp: 17,
  sctp: 132,
};

/** Tables that iptables has. */
export type IptablesTable = "nat" | "filter" | "raw" | "mangle";

/** What a rule does with a packet that it matches. */
export type RuleTarget =
  | { verdict: "ACCEPT" | "DROP" | "RETURN" }
  | { jump: string }
  | { dnat: { address: string; port: number } }
  | { masquerade: true };

/** One rule. Its matches are listed in the order in which iptables prints them. */
export interface IptablesRule {
  /** `-s`, as NETWORK/LENGTH. */
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
  /** `-m comment --comment …`, at most 255 bytes without line breaks. */
  comment?: string;
  target: RuleTarget;
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

/** As `iptables-save` prints it, without `-A CHAIN`: also what `iptables-restore` reads. */
export function ruleText(rule: IptablesRule): string {
  const { source, destination, inDevice, outDevice, port, toLocal, states, comment, target } = rule;
  return [
    networkText("-s", source),
    networkText("-d", destination),
    inDevice && `${inDevice.not ? "! " : ""}-i ${inDevice.is}`,
    outDevice && `${outDevice.not ? "! " : ""}-o ${outDevice.is}`,
    port && `-p ${port.protocol} -m ${port.protocol} --dport ${port.number}`,
    toLocal && "-m addrtype --dst-type LOCAL",
    states && `-m conntrack ${states.not ? "! " : ""}--ctstate ${states.is.join(",")}`,
    comment !== undefined && `-m comment --comment ${quoted(comment)}`,
    targetText(target),
  ].filter((part) => part).join(" ");
}

/** iptables prints no match for a prefix of length 0, which every address has. */
function networkText(flag: string, wanted: Network | undefined): string | undefined {
  if (!wanted || wanted.prefixLength === 0) return undefined;
  const { address, prefixLength, not } = wanted;
  const text = addressText(networkBytes(addressBytes(address), prefixLength));
  return `${not ? "! " : ""}${flag} ${text}/${prefixLength}`;
}

/** iptables puts quotes around what is more than one plain word (xtables_save_string). */
function quoted(comment: string): string {
  if (/[\n\r\0]/.test(comment)) {
    throw new OperatorError(
      "bad_comment",
      `a comment with a line break: ${JSON.stringify(comment)}`,
    );
  }
  return /^[A-Za-z0-9_-]+$/.test(comment)
    ? comment
    : `"${comment.replaceAll(/(["\\'])/g, "\\$1")}"`;
}

function targetText(target: RuleTarget): string {
  if ("verdict" in target) return `-j ${target.verdict}`;
  if ("jump" in target) return `-j ${target.jump}`;
  if ("masquerade" in target) return "-j MASQUERADE";
  const { address, port } = target.dnat;
  const host = familyOfKnown(address) === 6 ? `[${address}]` : address;
  return `-j DNAT --to-destination ${host}:${port}`;
}

/** The expressions that iptables-nft makes of a rule, in its order. */
export function ruleExpressions(rule: IptablesRule, family: Family): Expression[] {
  const { source, destination, inDevice, outDevice, port, toLocal, states, comment, target } = rule;
  return [
    ...device("iifname", inDevice),
    ...device("oifname", outDevice),
    ...(port ? protocol(port.protocol) : []),
    ...address(source, family, family === 4 ? 12 : 8),
    ...address(destination, family, family === 4 ? 16 : 24),
    ...(port ? [...portMatch(port)] : []),
    ...(toLocal ? [localDestination()] : []),
    ...(states ? [conntrackState(states.is, states.not === true)] : []),
    ...(comment === undefined ? [] : [commentMatch(comment)]),
    counter(),
    targetExpression(target, family),
  ];
}

/** A name is compared with its NUL; without it, what is before a `+` is compared alone. */
function device(
  key: "iifname" | "oifname",
  wanted: Negatable<string> | undefined,
): Expression[] {
  if (!wanted || wanted.is === "+") return [];
  const name = new TextEncoder().encode(
    wanted.is.endsWith("+") ? wanted.is.slice(0, -1) : wanted.is + "\0",
  );
  return [meta(key), compare(wanted.not ? "neq" : "eq", name)];
}

function protocol(name: TransportProtocol): Expression[] {
  return [meta("l4proto"), compare("eq", new Uint8Array([PROTOCOL_NUMBERS[name]]))];
}

/** Whole bytes of a prefix are loaded alone; a prefix that ends within a byte takes a mask. */
function address(wanted: Network | undefined, family: Family, offset: number): Expression[] {
  if (!wanted || wanted.prefixLength === 0) return [];
  const { address, prefixLength, not } = wanted;
  const bytes = networkBytes(addressBytes(address), prefixLength);
  const operator = not ? "neq" : "eq";
  if (prefixLength % 8 === 0) {
    const length = prefixLength / 8;
    return [
      payload("network", offset, length),
      compare(operator, bytes.subarray(0, length)),
    ];
  }
  const length = family === 4 ? 4 : 16;
  const mask = networkBytes(new Uint8Array(length).fill(0xff), prefixLength);
  return [payload("network", offset, length), bitwise(mask), compare(operator, bytes)];
}

/** Of sctp, iptables-nft has no expression of nf_tables' own. */
function portMatch({ protocol, number }: NonNullable<IptablesRule["port"]>): Expression[] {
  if (protocol === "sctp") return [sctpPort(number)];
  return [
    payload("transport", 2, 2),
    compare("eq", new Uint8Array([number >> 8, number & 0xff])),
  ];
}

function targetExpression(target: RuleTarget, family: Family): Expression {
  if ("jump" in target) return verdict("jump", target.jump);
  if ("masquerade" in target) return masqueradeTarget(family);
  if ("dnat" in target) return dnatTarget(addressBytes(target.dnat.address), target.dnat.port);
  const codes = { ACCEPT: "accept", DROP: "drop", RETURN: "return" } as const;
  return verdict(codes[target.verdict]);
}
