/**
 * Matches and targets of iptables as expressions (CONFIG_NFT_COMPAT): what iptables-nft writes
 * where nf_tables' own expressions are not enough, or where its listing would not know them again.
 * Structures: linux/netfilter/xt_*.h, padded to 8 bytes as XT_ALIGN does on 64-bit machines.
 */
import { cString } from "../kernel/libc.ts";
import { attribute, view } from "../netlink/message.ts";
import { type Expression, expression } from "./expressions.ts";
import { be32, commentTooLong } from "./wire.ts";

/** A match or a target by name, revision and the bytes of its structure. */
function extension(
  kind: "match" | "target",
  name: string,
  revision: number,
  info: Uint8Array,
): Expression {
  return expression(kind, [
    attribute(1, cString(name)),
    attribute(2, be32(revision)),
    attribute(3, info),
  ]);
}

/** XT_MAX_COMMENT_LEN less the NUL: iptables-restore cuts what is longer. */
export const LONGEST_COMMENT = 255;

/** `-m comment --comment TEXT`: struct xt_comment_info. */
export function commentMatch(comment: string): Expression {
  const info = new Uint8Array(LONGEST_COMMENT + 1);
  const text = cString(comment);
  if (text.length > info.length) throw commentTooLong(comment);
  info.set(text);
  return extension("match", "comment", 0, info);
}

/** Types of addresses (RTN_LOCAL, …) as bits of `--dst-type` (linux/netfilter/xt_addrtype.h). */
const XT_ADDRTYPE_LOCAL = 1 << 2;

/** `-m addrtype --dst-type LOCAL`: struct xt_addrtype_info_v1. */
export function localDestination(): Expression {
  const info = new Uint8Array(8);
  view(info).setUint16(2, XT_ADDRTYPE_LOCAL, true);
  return extension("match", "addrtype", 1, info);
}

/** States of `--ctstate` as bits (XT_CONNTRACK_STATE_*). */
export const CONNTRACK_STATES = {
  RELATED: 0x4,
  ESTABLISHED: 0x2,
  NEW: 0x8,
  SNAT: 0x40,
  DNAT: 0x80,
} as const;
export type ConntrackState = keyof typeof CONNTRACK_STATES;
const XT_CONNTRACK_STATE = 1;

/** `-m conntrack [!] --ctstate STATES`: struct xt_conntrack_mtinfo3. */
export function conntrackState(states: readonly ConntrackState[], inverted: boolean): Expression {
  const info = new Uint8Array(168);
  const fields = view(info);
  fields.setUint16(146, XT_CONNTRACK_STATE, true);
  fields.setUint16(148, inverted ? XT_CONNTRACK_STATE : 0, true);
  fields.setUint16(150, states.reduce((bits, state) => bits | CONNTRACK_STATES[state], 0), true);
  return extension("match", "conntrack", 3, info);
}

const XT_SCTP_DEST_PORTS = 2;

/** `-m sctp --dport PORT`: struct xt_sctp_info. */
export function sctpPort(port: number): Expression {
  const info = new Uint8Array(296);
  const fields = view(info);
  // A range whose two ends are the port, in the host's order.
  fields.setUint16(0, port, true);
  fields.setUint16(2, port, true);
  // No flags of chunks are asked for: iptables leaves -1 as the type of each of the four.
  for (const at of [268, 271, 274, 277]) info[at] = 0xff;
  fields.setUint32(284, XT_SCTP_DEST_PORTS, true);
  return extension("match", "sctp", 0, info);
}

/** NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED. */
const MAP_IPS = 1;
const PROTO_SPECIFIED = 2;

/** `-j DNAT --to-destination ADDRESS:PORT`: struct nf_nat_range2. */
export function dnatTarget(address: Uint8Array, port: number): Expression {
  const info = new Uint8Array(48);
  const fields = view(info);
  fields.setUint32(0, MAP_IPS | PROTO_SPECIFIED, true);
  info.set(address, 4);
  info.set(address, 20);
  fields.setUint16(36, port);
  fields.setUint16(38, port);
  return extension("target", "DNAT", 2, info);
}

/** `-j MASQUERADE`: of IPv4, struct nf_nat_ipv4_multi_range_compat; of IPv6, nf_nat_range. */
export function masqueradeTarget(family: 4 | 6): Expression {
  const info = new Uint8Array(family === 4 ? 24 : 40);
  if (family === 4) view(info).setUint32(0, 1, true); // one range, of which nothing is said
  return extension("target", "MASQUERADE", 0, info);
}
