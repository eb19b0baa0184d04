/** Rules as the expressions that iptables-nft (1.8) makes of them, and back. */
import { addressBytes, addressText } from "../base/ip.ts";
import { SystemError } from "../kernel/libc.ts";
import { Attributes, eachAttribute, view } from "../netlink/message.ts";
import {
  commentMatch,
  CONNTRACK_STATES,
  type ConntrackState,
  conntrackState,
  dnatTarget,
  localDestination,
  masqueradeTarget,
  sctpPort,
} from "../nft/compat.ts";
import {
  ADDRESSES,
  compare,
  counter,
  type Expression,
  META,
  meta,
  payload,
  prefixMatch,
  verdict,
} from "../nft/expressions.ts";
import type { ListedRule } from "../nft/rules.ts";
import { NFPROTO, PROTOCOL_NUMBERS, protocolOf, TABLE_FAMILY } from "../nft/wire.ts";
import {
  type FirewallRule,
  foundAt,
  type FoundRule,
  type Negatable,
  type Place,
  withoutBareProtocol,
} from "./rule.ts";

/** The expressions that iptables-nft makes of a rule, in its order. */
export function ruleExpressions(rule: FirewallRule): Expression[] {
  const { inDevice, outDevice, port, toLocal, states } = rule;
  // As if the kernel had refused it: then iptables itself writes it.
  if (rule.words) throw new SystemError(EOPNOTSUPP, `write the condition ${rule.words.join(" ")}`);
  return [
    ...device("iifname", inDevice),
    ...device("oifname", outDevice),
    ...(port
      ? [meta("l4proto"), compare("eq", new Uint8Array([PROTOCOL_NUMBERS[port.protocol]]))]
      : []),
    ...address("source", rule),
    ...address("destination", rule),
    ...(port ? portMatch(port) : []),
    ...(toLocal ? [localDestination()] : []),
    ...(states ? [conntrackState(states.is, states.not === true)] : []),
    ...(rule.comment === undefined ? [] : [commentMatch(rule.comment)]),
    counter(),
    targetExpression(rule),
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

function address(which: keyof typeof ADDRESSES, rule: FirewallRule): Expression[] {
  const { [which]: wanted, family } = rule;
  if (!wanted || wanted.prefixLength === 0) return [];
  const bytes = addressBytes(wanted.address);
  return prefixMatch(family, which, wanted.not ? "neq" : "eq", bytes, wanted.prefixLength);
}

/** Of sctp, iptables-nft has no expression of nf_tables' own. */
function portMatch({ protocol, number }: NonNullable<FirewallRule["port"]>): Expression[] {
  if (protocol === "sctp") return [sctpPort(number)];
  return [
    payload("transport", 2, 2),
    compare("eq", new Uint8Array([number >> 8, number & 0xff])),
  ];
}

function targetExpression({ target, family }: FirewallRule): Expression {
  if ("jump" in target) return verdict("jump", target.jump);
  if ("masquerade" in target) return masqueradeTarget(family);
  if ("dnat" in target) return dnatTarget(addressBytes(target.dnat.address), target.dnat.port);
  const codes = { ACCEPT: "accept", DROP: "drop", RETURN: "return" } as const;
  return verdict(codes[target.verdict]);
}

const EOPNOTSUPP = 95;

/** What a register holds. */
type Loaded =
  | { meta: number | undefined }
  | { base: number; offset: number; mask?: Uint8Array | undefined };

/** As much of a listed rule as this program has words for. */
export function decodeRule(place: Place, { expressions, handle, comment }: ListedRule): FoundRule {
  const rule = { ...foundAt(place, handle), ...comment === undefined ? {} : { comment } };
  const { unknown } = rule;
  let loaded: Loaded | undefined;
  const values = new Map<number | undefined, Uint8Array>();
  for (const [, bytes] of eachAttribute(expressions)) {
    const expression = new Attributes(bytes);
    const name = expression.text(1) ?? "";
    const data = expression.nested(2);
    const written = { meta: 3, payload: 5 }[name];
    if (written !== undefined && data.bytes(written)) unknown.push(`${name} set`);
    else if (name === "meta") loaded = { meta: data.be32(2) };
    else if (name === "payload") {
      loaded = { base: data.be32(2) ?? -1, offset: data.be32(3) ?? -1 };
    } else if (name === "bitwise" && loaded && "base" in loaded) {
      loaded.mask = data.nested(4).bytes(1);
    } else if (name === "cmp") {
      const operator = data.be32(2) ?? 0;
      const value = data.nested(3).bytes(1) ?? new Uint8Array();
      const isKnown = loaded && operator <= 1 && compared(rule, loaded, operator === 1, value);
      if (!isKnown) unknown.push("cmp");
    } else if (name === "match") {
      if (!matched(rule, data)) unknown.push(`-m ${data.text(1)}`);
    } else if (name === "target") {
      if (!targeted(rule, data)) unknown.push(`options of ${data.text(1)}`);
    } else if (name === "immediate") {
      const value = data.nested(2).bytes(1);
      if (value) values.set(data.be32(1), value);
      else rule.target = verdictOf(data);
    } else if (name === "nat") {
      const [address, port] = [values.get(data.be32(3)), values.get(data.be32(5))];
      // NFT_NAT_DNAT, and flags beside those that say that there are an address and a port.
      if (data.be32(1) !== 1 || !address || !port || (data.be32(7) ?? 0) > 3) unknown.push(name);
      else rule.target = { dnat: { address: addressText(address), port: view(port).getUint16(0) } };
    } else if (name === "masq") {
      rule.target = { masquerade: true };
      if ((data.be32(1) ?? 0) !== 0) unknown.push("options of masquerade");
    } else if (name !== "counter") unknown.push(name);
  }
  return withoutBareProtocol(rule);
}

/** @returns false for what there is no word for */
function compared(rule: FoundRule, loaded: Loaded, not: boolean, value: Uint8Array): boolean {
  const { family } = rule;
  if ("base" in loaded) {
    if (loaded.base === 1) {
      const key = (["source", "destination"] as const)
        .find((which) => ADDRESSES[which][family].offset === loaded.offset);
      const prefixLength = loaded.mask ? prefixOf(loaded.mask) : value.length * 8;
      if (!key || prefixLength === undefined) return false;
      const bytes = new Uint8Array(ADDRESSES[key][family].length);
      if (value.length > bytes.length) return false;
      bytes.set(value);
      rule[key] = { address: addressText(bytes), prefixLength, not };
      return true;
    }
    if (loaded.base !== 2 || loaded.offset !== 2 || value.length !== 2 || not) return false;
    if (!rule.port) return false;
    rule.port.number = view(value).getUint16(0);
    return true;
  }
  if (loaded.meta === META.l4proto) {
    const protocol = protocolOf(value[0]);
    if (!protocol || not) return false;
    // The port follows.
    rule.port = { protocol, number: 0 };
    return true;
  }
  if (loaded.meta === META.nfproto) return !not && value[0] === NFPROTO[TABLE_FAMILY[family]];
  const key = loaded.meta === META.iifname
    ? "inDevice"
    : loaded.meta === META.oifname
    ? "outDevice"
    : undefined;
  if (!key) return false;
  const end = value.indexOf(0);
  const name = new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
  rule[key] = { is: end < 0 ? `${name}+` : name, not };
  return true;
}

function prefixOf(mask: Uint8Array): number | undefined {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) ? bits.replaceAll("0", "").length : undefined;
}

/** Whether a match or a target is as this program writes it, padding aside. */
function isSame(bytes: Uint8Array, written: Expression): boolean {
  const other = new Attributes(written.subarray(4)).nested(2).bytes(3)!;
  return other.length <= bytes.length && other.every((byte, at) => byte === bytes[at]);
}

function matched(rule: FoundRule, match: Attributes): boolean {
  const info = match.bytes(3) ?? new Uint8Array();
  switch (match.text(1)) {
    case "comment":
      return true;
    case "addrtype":
      return isSame(info, localDestination()) && (rule.toLocal = true);
    case "conntrack": {
      if (info.length < 152) return false;
      const bits = view(info).getUint16(150, true);
      const is = (Object.keys(CONNTRACK_STATES) as ConntrackState[])
        .filter((state) => bits & CONNTRACK_STATES[state]);
      const not = view(info).getUint16(148, true) !== 0;
      rule.states = { is, not };
      return isSame(info, conntrackState(is, not));
    }
    case "sctp": {
      if (info.length < 4 || !rule.port) return false;
      rule.port.number = view(info).getUint16(0, true);
      return isSame(info, sctpPort(rule.port.number));
    }
    default:
      return false;
  }
}

/** @returns false for options that change what it does */
function targeted(rule: FoundRule, target: Attributes): boolean {
  const name = target.text(1) ?? "";
  const info = target.bytes(3) ?? new Uint8Array();
  if (name === "MASQUERADE") {
    rule.target = { masquerade: true };
    return isSame(info, masqueradeTarget(rule.family));
  }
  rule.target = { other: name };
  if (name !== "DNAT" || info.length < 40) return true;
  // struct nf_nat_range2: a union of 16 bytes holds the address of either family.
  const address = info.slice(4, rule.family === 4 ? 8 : 20);
  const port = view(info).getUint16(36);
  rule.target = { dnat: { address: addressText(address), port } };
  return isSame(info, dnatTarget(address, port));
}

const CODES: Readonly<Record<number, FoundRule["target"]>> = {
  0: { verdict: "DROP" },
  1: { verdict: "ACCEPT" },
  [-5]: { verdict: "RETURN" },
};

function verdictOf(immediate: Attributes): FoundRule["target"] {
  const verdict = immediate.nested(2).nested(2);
  const code = verdict.be32(1);
  if (code === undefined) return undefined;
  const chain = verdict.text(2) ?? "";
  if ((code | 0) === -3) return { jump: chain };
  if ((code | 0) === -4) return { goto: chain };
  return CODES[code | 0] ?? { other: `verdict ${code | 0}` };
}
