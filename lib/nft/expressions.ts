/**
 * Expressions of nf_tables rules (linux/netfilter/nf_tables.h): each loads something into a
 * register, compares a register (a comparison that fails ends the rule), or acts. Registers hold
 * 4 bytes each from {@link REGISTER}; a concatenation takes as many in a row as it is long.
 */
import { cString } from "../kernel/libc.ts";
import { attribute, nested } from "../netlink/message.ts";
import { type Family, networkBytes } from "../base/ip.ts";
import { be32, be64, NFPROTO, TABLE_FAMILY } from "./wire.ts";

/** An encoded expression, as an element of NFTA_RULE_EXPRESSIONS. */
export type Expression = Uint8Array;

const NFTA_LIST_ELEM = 1;
export const NFTA_EXPR_NAME = 1;
export const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

/** NFT_REG_1: also where a result is loaded if nothing else is said. */
const REGISTER = 1;
/** NFT_REG32_00: the first of the registers of 4 bytes, which share room with NFT_REG_1 to 4. */
const REGISTER_32 = 8;

/** The register that begins `bytes` after NFT_REG_1, by the number that nft itself would use. */
export function registerAt(bytes: number): number {
  return bytes % 16 === 0 ? REGISTER + bytes / 16 : REGISTER_32 + bytes / 4;
}

/** Any expression, by its name and attributes. */
export function expression(name: string, attributes: readonly Uint8Array[]): Expression {
  return nested(NFTA_LIST_ELEM, [
    attribute(NFTA_EXPR_NAME, cString(name)),
    nested(NFTA_EXPR_DATA, attributes),
  ]);
}

/** An expression whose attributes are numbers: those of the types 1, 2, 3, … */
function numbered(name: string, ...values: number[]): Expression {
  return expression(name, values.map((value, i) => attribute(i + 1, be32(value))));
}

/** A value as NFTA_DATA_VALUE within an attribute. */
function data(type: number, value: Uint8Array): Uint8Array {
  return nested(type, [attribute(NFTA_DATA_VALUE, value)]);
}

/** Keys of `meta`. */
export const META = { protocol: 1, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const;

/** Loads a fact about the packet that is not in its bytes. */
export function meta(key: keyof typeof META, register = REGISTER): Expression {
  return expression("meta", [attribute(2, be32(META[key])), attribute(1, be32(register))]);
}

/** Has the kernel tell of each rule that the packet meets from here on (NFT_META_NFTRACE). */
export function setTrace(): Expression[] {
  return [
    expression("immediate", [attribute(1, be32(REGISTER)), data(2, new Uint8Array([1]))]),
    expression("meta", [attribute(2, be32(12)), attribute(3, be32(REGISTER))]),
  ];
}

/** Bases of `payload`. */
const BASES = { link: 0, network: 1, transport: 2 } as const;

/** Loads bytes of a packet's header. */
export function payload(
  base: keyof typeof BASES,
  offset: number,
  length: number,
  register = REGISTER,
): Expression {
  return numbered("payload", register, BASES[base], offset, length);
}

/** enum nft_cmp_ops. */
const COMPARISONS = { eq: 0, neq: 1, lte: 3, gte: 5 } as const;

/** Ends the rule unless the register is a value (`eq`), is not (`neq`), or is at most or at least that. */
export function compare(operator: keyof typeof COMPARISONS, value: Uint8Array): Expression {
  return expression("cmp", [
    attribute(1, be32(REGISTER)),
    attribute(2, be32(COMPARISONS[operator])),
    data(3, value),
  ]);
}

/** register = register & mask. */
export function bitwise(mask: Uint8Array): Expression {
  return expression("bitwise", [
    attribute(1, be32(REGISTER)),
    attribute(2, be32(REGISTER)),
    attribute(3, be32(mask.length)),
    attribute(6, be32(0)),
    data(4, mask),
    data(5, new Uint8Array(mask.length)),
  ]);
}

/** Ends the rule unless a register is in a set; `to`: loads what a map has for it. */
export function lookup(
  set: string | { anonymous: string; id: number },
  { to, inverted = false }: { to?: number; inverted?: boolean } = {},
): Expression {
  const name = typeof set === "string" ? set : set.anonymous;
  return expression("lookup", [
    attribute(1, cString(name)),
    attribute(2, be32(REGISTER)),
    ...(to === undefined ? [] : [attribute(3, be32(to))]),
    ...(typeof set === "string" ? [] : [attribute(4, be32(set.id))]),
    attribute(5, be32(inverted ? 1 : 0)),
  ]);
}

/** Verdicts (linux/netfilter.h, linux/netfilter/nf_tables.h). */
const VERDICTS = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const;

/** A verdict; `jump` and `goto` name the chain. */
export function verdict(code: keyof typeof VERDICTS, chain?: string): Expression {
  const of = [attribute(NFTA_VERDICT_CODE, be32(VERDICTS[code]))];
  if (chain !== undefined) of.push(attribute(NFTA_VERDICT_CHAIN, cString(chain)));
  return expression("immediate", [
    attribute(1, be32(0)),
    nested(2, [nested(NFTA_DATA_VERDICT, of)]),
  ]);
}

/** Counts packets and bytes, from 0. */
export function counter(): Expression {
  return expression("counter", [attribute(1, be64(0n)), attribute(2, be64(0n))]);
}

/** IPS_DST_NAT (enum ip_conntrack_status): the connection's destination was translated. */
export const IPS_DST_NAT = 1 << 5;

/** Loads the status of the packet's connection (NFT_CT_STATUS). */
export function conntrackStatus(): Expression {
  return numbered("ct", REGISTER, 2);
}

/** Loads the type of the packet's destination (RTN_LOCAL, …) by the routing tables. */
export function destinationType(): Expression {
  return numbered("fib", REGISTER, 3, 2);
}

/** Translates the destination to the address and the port that registers hold. */
export function dnat(family: number, address: number, port: number): Expression {
  return numbered("nat", 1, family, address, address, port, port);
}

/** Translates the source to the address of the interface that the packet leaves by. */
export function masquerade(): Expression {
  return expression("masq", []);
}

/** `meta nfproto ipv4` or `ipv6`. */
export function isFamily(family: Family): Expression[] {
  return [meta("nfproto"), compare("eq", new Uint8Array([NFPROTO[TABLE_FAMILY[family]]]))];
}

/** Where the header of each family has its addresses, and of how many bytes they are. */
export const ADDRESSES = {
  source: { 4: { offset: 12, length: 4 }, 6: { offset: 8, length: 16 } },
  destination: { 4: { offset: 16, length: 4 }, 6: { offset: 24, length: 16 } },
} as const;

/**
 * An address of the header is in a network, or is not. Whole bytes of a prefix are loaded alone; one
 * that ends within a byte takes a mask.
 */
export function prefixMatch(
  family: Family,
  which: keyof typeof ADDRESSES,
  operator: "eq" | "neq",
  address: Uint8Array,
  prefixLength: number,
): Expression[] {
  const { offset, length } = ADDRESSES[which][family];
  const network = networkBytes(address, prefixLength);
  if (prefixLength % 8 === 0) {
    const bytes = prefixLength / 8;
    return [payload("network", offset, bytes), compare(operator, network.subarray(0, bytes))];
  }
  const mask = networkBytes(new Uint8Array(length).fill(0xff), prefixLength);
  return [payload("network", offset, length), bitwise(mask), compare(operator, network)];
}
