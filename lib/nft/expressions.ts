/**
 * Expressions of nf_tables rules (linux/netfilter/nf_tables.h): each loads something into a
 * register, compares a register (a comparison that fails ends the rule), or acts. Registers hold
 * 4 bytes each from {@link REGISTER}; a concatenation takes as many in a row as it is long.
 */
import { cString } from "../kernel/libc.ts";
import { attribute, nested } from "../netlink/message.ts";
import { be32, be64 } from "./wire.ts";

/** An encoded expression, as an element of NFTA_RULE_EXPRESSIONS. */
export type Expression = Uint8Array;

const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

/** NFT_REG_1: also where a result is loaded if nothing else is said. */
export const REGISTER = 1;
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

/** A value as NFTA_DATA_VALUE within an attribute. */
export function data(type: number, value: Uint8Array): Uint8Array {
  return nested(type, [attribute(NFTA_DATA_VALUE, value)]);
}

/** Keys of `meta`. */
export const META = {
  protocol: 1,
  mark: 3,
  iifname: 6,
  oifname: 7,
  nfproto: 15,
  l4proto: 16,
} as const;

/** Loads a fact about the packet that is not in its bytes. */
export function meta(key: keyof typeof META, register = REGISTER): Expression {
  return expression("meta", [attribute(2, be32(META[key])), attribute(1, be32(register))]);
}

/** Has the kernel tell of each rule that the packet meets from here on (NFT_META_NFTRACE). */
export function setTrace(): Expression[] {
  return [
    immediate(new Uint8Array([1])),
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
  return expression("payload", [
    attribute(1, be32(register)),
    attribute(2, be32(BASES[base])),
    attribute(3, be32(offset)),
    attribute(4, be32(length)),
  ]);
}

/** enum nft_cmp_ops. */
const COMPARISONS = { eq: 0, neq: 1, lte: 3, gte: 5 } as const;

/** Ends the rule unless a register is a value (`eq`), is not (`neq`), or is at most or at least that. */
export function compare(
  operator: keyof typeof COMPARISONS,
  value: Uint8Array,
  register = REGISTER,
): Expression {
  return expression("cmp", [
    attribute(1, be32(register)),
    attribute(2, be32(COMPARISONS[operator])),
    data(3, value),
  ]);
}

/** register = (register & mask) ^ xor. */
export function bitwise(
  mask: Uint8Array,
  xor: Uint8Array = new Uint8Array(mask.length),
  register = REGISTER,
): Expression {
  return expression("bitwise", [
    attribute(1, be32(register)),
    attribute(2, be32(register)),
    attribute(3, be32(mask.length)),
    attribute(6, be32(0)),
    data(4, mask),
    data(5, xor),
  ]);
}

/** Ends the rule unless a register is in a set; `to`: loads what a map has for it. */
export function lookup(
  set: string | { anonymous: string; id: number },
  options: { register?: number; to?: number; inverted?: boolean } = {},
): Expression {
  const { register = REGISTER, to, inverted = false } = options;
  const name = typeof set === "string" ? set : set.anonymous;
  return expression("lookup", [
    attribute(1, cString(name)),
    attribute(2, be32(register)),
    ...(to === undefined ? [] : [attribute(3, be32(to))]),
    ...(typeof set === "string" ? [] : [attribute(4, be32(set.id))]),
    attribute(5, be32(inverted ? 1 : 0)),
  ]);
}

/** Verdicts (linux/netfilter.h, linux/netfilter/nf_tables.h). */
const VERDICTS = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const;

/** A verdict; `jump` and `goto` name the chain. */
export function verdict(code: keyof typeof VERDICTS, chain?: string): Expression {
  return expression("immediate", [
    attribute(1, be32(0)),
    nested(2, [
      nested(NFTA_DATA_VERDICT, [
        attribute(NFTA_VERDICT_CODE, be32(VERDICTS[code])),
        ...(chain === undefined ? [] : [attribute(NFTA_VERDICT_CHAIN, cString(chain))]),
      ]),
    ]),
  ]);
}

/** Loads a value. */
export function immediate(value: Uint8Array, register = REGISTER): Expression {
  return expression("immediate", [attribute(1, be32(register)), data(2, value)]);
}

/** Counts packets and bytes, from 0. */
export function counter(): Expression {
  return expression("counter", [attribute(1, be64(0n)), attribute(2, be64(0n))]);
}

/** Keys of `ct` (enum nft_ct_keys). */
const CT = { state: 0, status: 2, mark: 3 } as const;
/** Bits of `ct state` (NF_CT_STATE_BIT) and `ct status` (enum ip_conntrack_status). */
export const CT_ESTABLISHED = 2;
export const CT_RELATED = 4;
export const IPS_DST_NAT = 1 << 5;

/** Loads a fact about the packet's connection. */
export function conntrack(key: keyof typeof CT, register = REGISTER): Expression {
  return expression("ct", [attribute(1, be32(register)), attribute(2, be32(CT[key]))]);
}

/** Loads the type of the packet's address (RTN_LOCAL, …) by the routing tables. */
export function fibType(of: "saddr" | "daddr", register = REGISTER): Expression {
  return expression("fib", [
    attribute(1, be32(register)),
    attribute(2, be32(3)),
    attribute(3, be32(of === "saddr" ? 1 : 2)),
  ]);
}

/** Translates the destination to the address, and the port, that registers hold. */
export function dnat(family: number, address: number, port?: number): Expression {
  return nat(1, family, address, port);
}

/** Translates the source to the address, and the port, that registers hold. */
export function snat(family: number, address: number, port?: number): Expression {
  return nat(0, family, address, port);
}

function nat(type: number, family: number, address: number, port?: number): Expression {
  return expression("nat", [
    attribute(1, be32(type)),
    attribute(2, be32(family)),
    attribute(3, be32(address)),
    attribute(4, be32(address)),
    ...(port === undefined ? [] : [attribute(5, be32(port)), attribute(6, be32(port))]),
  ]);
}

/** Translates the source to the address of the interface that the packet leaves by. */
export function masquerade(): Expression {
  return expression("masq", []);
}

const UNITS = { second: 1, minute: 60, hour: 3600, day: 86400 } as const;

/** Ends the rule for what is more than `rate` packets in a unit of time. */
export function limit(rate: number, unit: keyof typeof UNITS, burst = 5): Expression {
  return expression("limit", [
    attribute(1, be64(BigInt(rate))),
    attribute(2, be64(BigInt(UNITS[unit]))),
    attribute(3, be32(burst)),
    attribute(4, be32(0)),
    attribute(5, be32(0)),
  ]);
}

/** Logs the packet to the kernel's log. */
export function log(prefix: string): Expression {
  return expression("log", [attribute(2, cString(prefix))]);
}
