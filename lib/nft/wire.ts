/** What nf_tables messages have in common: integers in network order, names, user data. */
import { concat, textOf } from "../base/bytes.ts";
import { OperatorError } from "../base/error.ts";
import { quote } from "../base/json.ts";
import { cString } from "../kernel/libc.ts";
import { view } from "../netlink/message.ts";
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";

/** Families of tables (linux/netfilter.h). */
export const NFPROTO = {
  inet: 1,
  ip: AF_INET,
  arp: 3,
  netdev: 5,
  bridge: 7,
  ip6: AF_INET6,
} as const;
export type TableFamily = keyof typeof NFPROTO;
/** The family of tables that iptables (4) and ip6tables (6) write to. */
export const TABLE_FAMILY = { 4: "ip", 6: "ip6" } as const;

/** IPPROTO_* of the protocols that have ports here. */
export const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
export type TransportProtocol = keyof typeof PROTOCOL_NUMBERS;

/** The protocol of a number, if it is one of them. */
export function protocolOf(number: number | undefined): TransportProtocol | undefined {
  const names = Object.keys(PROTOCOL_NUMBERS) as TransportProtocol[];
  return names.find((name) => PROTOCOL_NUMBERS[name] === number);
}

/** 4 bytes, most significant first. */
export function be32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  view(bytes).setInt32(0, value);
  return bytes;
}

/** 8 bytes, most significant first. */
export function be64(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, value);
  return bytes;
}

const LONGEST_USER_DATA = 255;

/** What a comment is that no rule has room for: ids of nested containers are as long as frameworks like. */
export function commentTooLong(comment: string): OperatorError {
  return new OperatorError(
    "bad_comment",
    `a rule has no room for a comment of ${comment.length} characters: ${
      quote(comment)
    }; the container's id or the network's name must be shorter`,
  );
}

/** libnftnl's user data: type, length, value, each one byte but the value. Opaque to the kernel. */
export function userData(type: number, value: Uint8Array): Uint8Array<ArrayBuffer> {
  if (value.length > LONGEST_USER_DATA) throw new RangeError(`user data of ${value.length} bytes`);
  return concat([new Uint8Array([type, value.length]), value]);
}

/** NFTNL_UDATA_RULE_COMMENT and NFTNL_UDATA_SET_ELEM_COMMENT, as `nft list` shows it. */
export function commentData(comment: string): Uint8Array<ArrayBuffer> {
  const text = cString(comment);
  if (text.length > LONGEST_USER_DATA) throw commentTooLong(comment);
  return userData(0, text);
}

/** The comment in user data of a rule or an element. */
export function commentIn(data: Uint8Array | undefined): string | undefined {
  for (let at = 0; data && at + 2 <= data.length; at += 2 + data[at + 1]!) {
    if (data[at] !== 0) continue;
    return textOf(data.subarray(at + 2, at + 1 + data[at + 1]!));
  }
  return undefined;
}
