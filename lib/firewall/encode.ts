/** Rules as the expressions that iptables-nft (1.8) makes of them, and back. */
import { addressBytes, addressText, type Family, networkBytes } from "../base/ip.ts";
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
  bitwise,
  compare,
  counter,
  type Expression,
  META,
  meta,
  payload,
  verdict,
} from "../nft/expressions.ts";
import type { ListedRule } from "../nft/rules.ts";
import {
  type FirewallRule,
  type FoundRule,
  type Negatable,
  type Network,
  type Place,
  PROTOCOL_NUMBERS,
  type TransportProtocol,
} from "./rule.ts";

/** Where the header of each family has its addresses. */
const SOURCE_OFFSET: Readonly<Record<Family, number>> = { 4: 12, 6: 8 };
const DESTINATION_OFFSET: Readonly<Record<Family, number>> = { 4: 16, 6: 24 };

/** The expressions that iptables-nft makes of a rule, in its order. */
export function ruleExpressions(rule: FirewallRule): Expression[] {
  const { family, source, destination, inDevice, outDevice, port, toLocal, states } = rule;
  // As if the kernel had refused it: then iptables itself writes it.
  if (rule.words) throw new SystemError(EOPNOTSUPP, `write the condition ${rule.words.join(" ")}`);
  return [
    ...device("iifname", inDevice),
    ...device("oifname", outDevice),
    ...(port ? protocol(port.protocol) : []),
    ...address(source, SOURCE_OFFSET[family]),
    ...address(destination, DESTINATION_OFFSET[family]),
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

function protocol(name: TransportProtocol): Expression[] {
  return [meta("l4proto"), compare("eq", new Uint8Array([PROTOCOL_NUMBERS[name]]))];
}

/** Whole bytes of a prefix are loaded alone; a prefix that ends within a byte takes a mask. */
function address(wanted: Network | undefined, offset: number): Expression[] {
  if (!wanted || wanted.prefixLength === 0) return [];
  const { address, prefixLength, not } = wanted;
  return prefixMatch(
    not ? "neq" : "eq",
    offset,
    networkBytes(addressBytes(address), prefixLength),
    prefixLength,
  );
}

/** An address of the header against a network of its length. */
export function prefixMatch(
  operator: "eq" | "neq",
  offset: number,
  network: Uint8Array,
  prefixLength: number,
): Expression[] {
  if (prefixLength % 8 === 0) {
    const length = prefixLength / 8;
    return [payload("network", offset, length), compare(operator, network.subarray(0, length))];
  }
  const mask = networkBytes(new Uint8Array(network.length).fill(0xff), prefixLength);
  return [
    payload("network", offset, network.length),
    bitwise(mask),
    compare(operator, network),
  ];
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
  const unknown: string[] = [];
  const rule: FoundRule = {
    ...place,
    ...comment === undefined ? {} : { comment },
    unknown,
    id: handle,
  };
  let loaded: Loaded | undefined;
  const values = new Map<number | undefined, Uint8Array>();
  for (const [, bytes] of eachAttribute(expressions)) {
    const expression = new Attributes(bytes);
    const name = expression.text(1) ?? "";
    const data = expression.nested(2);
    if (name === "meta") loaded = { meta: data.be32(2) };
    else if (name === "payload") {
      loaded = { base: data.be32(2) ?? -1, offset: data.be32(3) ?? -1 };
    } else if (name === "bitwise" && loaded && "base" in loaded) {
      loaded.mask = data.nested(4).bytes(1);
    } else if (name === "cmp") {
      const value = data.nested(3).bytes(1) ?? new Uint8Array();
      if (!loaded || !compared(rule, loaded, data.be32(2) === 1, value)) unknown.push("cmp");
    } else if (name === "match") {
      if (!matched(rule, data)) unknown.push(`-m ${data.text(1)}`);
    } else if (name === "target") rule.target = targetOf(data, place.family);
    else if (name === "immediate") {
      const value = data.nested(2).bytes(1);
      if (value) values.set(data.be32(1), value);
      else rule.target = verdictOf(data);
    } else if (name === "nat") {
      const [address, port] = [values.get(data.be32(3)), values.get(data.be32(5))];
      // NFT_NAT_DNAT
      if (data.be32(1) !== 1 || !address || !port) unknown.push(name);
      else rule.target = { dnat: { address: addressText(address), port: view(port).getUint16(0) } };
    } else if (name === "masq") rule.target = { masquerade: true };
    else if (name !== "counter") unknown.push(name);
  }
  if (rule.port?.number === 0) {
    unknown.push(`-p ${rule.port.protocol}`);
    delete rule.port;
  }
  return rule;
}

/** @returns false for what there is no word for */
function compared(rule: FoundRule, loaded: Loaded, not: boolean, value: Uint8Array): boolean {
  const { family } = rule;
  if ("base" in loaded) {
    if (loaded.base === 1) {
      const key = loaded.offset === SOURCE_OFFSET[family]
        ? "source"
        : loaded.offset === DESTINATION_OFFSET[family]
        ? "destination"
        : undefined;
      const prefixLength = loaded.mask ? prefixOf(loaded.mask) : value.length * 8;
      if (!key || prefixLength === undefined) return false;
      const bytes = new Uint8Array(family === 4 ? 4 : 16);
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
    const known = Object.entries(PROTOCOL_NUMBERS).find(([, number]) => number === value[0]);
    if (!known || not) return false;
    // The port follows.
    rule.port = { protocol: known[0] as TransportProtocol, number: 0 };
    return true;
  }
  if (loaded.meta === META.nfproto) return !not;
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

function matched(rule: FoundRule, match: Attributes): boolean {
  const info = match.bytes(3) ?? new Uint8Array();
  const isSame = (written: Expression) => {
    const other = new Attributes(written.subarray(4)).nested(2).bytes(3)!;
    return other.length <= info.length && other.every((byte, at) => byte === info[at]);
  };
  switch (match.text(1)) {
    case "comment":
      return true;
    case "addrtype":
      return isSame(localDestination()) && (rule.toLocal = true);
    case "conntrack": {
      if (info.length < 152) return false;
      const bits = view(info).getUint16(150, true);
      const is = (Object.keys(CONNTRACK_STATES) as ConntrackState[])
        .filter((state) => bits & CONNTRACK_STATES[state]);
      const not = view(info).getUint16(148, true) !== 0;
      rule.states = { is, not };
      return isSame(conntrackState(is, not));
    }
    case "sctp": {
      if (info.length < 4 || !rule.port) return false;
      rule.port.number = view(info).getUint16(0, true);
      return isSame(sctpPort(rule.port.number));
    }
    default:
      return false;
  }
}

function targetOf(target: Attributes, family: Family): FoundRule["target"] {
  const name = target.text(1) ?? "";
  const info = target.bytes(3) ?? new Uint8Array();
  if (name === "MASQUERADE") return { masquerade: true };
  if (name !== "DNAT" || info.length < 40) return { other: name };
  // struct nf_nat_range2: a union of 16 bytes holds the address of either family.
  return {
    dnat: {
      address: addressText(info.slice(4, family === 4 ? 8 : 20)),
      port: view(info).getUint16(36),
    },
  };
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
