/** Rules of any network namespace, as far as it tells what they do to a packet. */
import { Attributes, eachAttribute, view } from "../netlink/message.ts";
import { NFTA_EXPR_DATA, NFTA_EXPR_NAME } from "./expressions.ts";
import { Rules } from "./rules.ts";
import type { TableFamily } from "./wire.ts";

const NFTA_TARGET_NAME = 1, NFTA_TARGET_REV = 2, NFTA_TARGET_INFO = 3;
const NFTA_PAYLOAD_BASE = 2, NFTA_PAYLOAD_OFFSET = 3, NFTA_PAYLOAD_LEN = 4, NFTA_PAYLOAD_SREG = 5;
const NFTA_CT_KEY = 2, NFTA_CT_SREG = 4;
const NFTA_NAT_TYPE = 1, NFTA_NAT_FLAGS = 7, NFTA_MASQ_FLAGS = 1;
/** enum nft_ct_keys. */
const NFT_CT_ZONE = 17;
/** NF_NAT_RANGE_PROTO_RANDOM and NF_NAT_RANGE_PROTO_RANDOM_FULLY (linux/netfilter/nf_nat.h). */
const RANDOM = 1 << 2 | 1 << 4;
/** XT_CT_NOTRACK (linux/netfilter/xt_CT.h). */
const XT_CT_NOTRACK = 1;
/** enum nft_payload_bases. */
const LINK = 0, NETWORK = 1, TRANSPORT = 2;

/** A rule by its expressions. */
export interface RawRule {
  handle: string;
  /**
   * What acts in it: names of nf_tables' own expressions (`dnat` and `snat` of `nat`; `payload set`,
   * `payload set ttl`, `ct set zone` of what is written) and of targets of xtables (`DNAT`, `TTL`).
   */
  names: string[];
  /** Whether a source is translated to a random port. */
  isRandom: boolean;
  /** All of its expressions, as the kernel lists them. */
  bytes: Uint8Array;
}

/** The rules of a chain, in their order. @throws {SystemError} */
export function readRules(
  netns: string | undefined,
  family: string,
  table: string,
  chain: string,
): RawRule[] {
  return new Rules({ family: family as TableFamily, name: table }, netns).list(chain, (rule) => {
    const bytes = rule.expressions.slice();
    const expressions = [...eachAttribute(bytes)].map(([, one]) => new Attributes(one));
    return {
      handle: rule.handle,
      names: expressions.flatMap(namesOf),
      isRandom: expressions.some(isRandom),
      bytes,
    };
  });
}

function namesOf(expression: Attributes): string[] {
  const name = expression.text(NFTA_EXPR_NAME) ?? "";
  const data = expression.nested(NFTA_EXPR_DATA);
  switch (name) {
    case "nat":
      return [data.be32(NFTA_NAT_TYPE) === 1 ? "dnat" : "snat"];
    case "target":
      return targetNames(data);
    case "ct":
      return data.bytes(NFTA_CT_SREG) && data.be32(NFTA_CT_KEY) === NFT_CT_ZONE
        ? ["ct set zone"]
        : [];
    case "payload":
      return data.bytes(NFTA_PAYLOAD_SREG) ? writtenNames(data) : [];
    default:
      return [name];
  }
}

/** `-j CT` is several things (struct xt_ct_target_info). */
function targetNames(data: Attributes): string[] {
  const name = data.text(NFTA_TARGET_NAME) ?? "";
  const info = data.bytes(NFTA_TARGET_INFO);
  if (name !== "CT" || !info || info.length < 4) return [name];
  const isUntracked = (view(info).getUint16(0, true) & XT_CT_NOTRACK) !== 0;
  return isUntracked ? ["NOTRACK"] : view(info).getUint16(2, true) !== 0 ? ["ct set zone"] : [];
}

/** Addresses and ports, of any header; or what a router counts down (at 8 of IPv4, at 7 of IPv6). */
function writtenNames(data: Attributes): string[] {
  const base = data.be32(NFTA_PAYLOAD_BASE);
  const offset = data.be32(NFTA_PAYLOAD_OFFSET) ?? 0;
  const length = data.be32(NFTA_PAYLOAD_LEN) ?? 0;
  if (base === NETWORK && length <= 2) return offset >= 6 && offset <= 8 ? ["payload set ttl"] : [];
  const isAddress = base === LINK && offset < 12 || base === NETWORK ||
    base === TRANSPORT && offset < 4;
  return isAddress ? ["payload set"] : [];
}

/** Revision 0 of MASQUERADE and SNAT of IPv4 begins with a count (nf_nat_ipv4_multi_range_compat). */
function isRandom(expression: Attributes): boolean {
  const name = expression.text(NFTA_EXPR_NAME);
  const data = expression.nested(NFTA_EXPR_DATA);
  if (name === "masq") return ((data.be32(NFTA_MASQ_FLAGS) ?? 0) & RANDOM) !== 0;
  if (name === "nat") {
    return data.be32(NFTA_NAT_TYPE) === 0 &&
      ((data.be32(NFTA_NAT_FLAGS) ?? 0) & RANDOM) !== 0;
  }
  const info = data.bytes(NFTA_TARGET_INFO);
  const target = name === "target" ? data.text(NFTA_TARGET_NAME) : undefined;
  if (!info || info.length < 8 || target !== "MASQUERADE" && target !== "SNAT") return false;
  const hasCount = data.be32(NFTA_TARGET_REV) === 0 && info.length < 32;
  return (view(info).getUint32(hasCount ? 4 : 0, true) & RANDOM) !== 0;
}
