/** Changes to netfilter over nfnetlink (linux/netfilter/nfnetlink.h), all or none of a batch. */
import { SystemError } from "../kernel/libc.ts";
import {
  decodeMessages,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  view,
} from "../netlink/message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../netlink/socket.ts";
import { AF_NETLINK, SOCK_RAW, Socket } from "../kernel/socket.ts";

/** Subsystems of nfnetlink: the high byte of a message's type. */
export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_NFTABLES = 10;

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

/**
 * Sockets stay open: when one is closed while the kernel still frees deleted rules, close(2) waits
 * for that, and it takes ten times as long as the deletion.
 */
let requests: NetlinkSocket | undefined;
let batches: Socket | undefined;
let sequence = 0;

/** nfnetlink in this process's network namespace, for single requests. @throws {SystemError} */
export function nfnetlink(): NetlinkSocket {
  return requests ??= new NetlinkSocket(NETLINK_NETFILTER);
}

/** struct nfgenmsg: what every nfnetlink message begins with. */
export function nfHeader(family: number, resource = 0): Uint8Array<ArrayBuffer> {
  return new Uint8Array([family, 0, resource >> 8, resource & 0xff]);
}

export interface Change {
  /** Subsystem and message, as in the header. */
  type: number;
  /** The message's parts, its nfgenmsg first. */
  parts: readonly Uint8Array[];
}

/**
 * Applies changes in one transaction.
 *
 * @param what the changes as an operator would say them
 * @throws {SystemError} of the first change that failed; then none was made
 */
export function applyBatch(subsystem: number, changes: readonly Change[], what: string): void {
  const socket = batches ??= Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
  const first = sequence + 1;
  const frame = (type: number) =>
    encodeMessage(type, NLM_F_REQUEST, ++sequence, [nfHeader(0, subsystem)]);
  const messages = [
    frame(NFNL_MSG_BATCH_BEGIN),
    ...changes.map(({ type, parts }) =>
      encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK, ++sequence, parts)
    ),
    frame(NFNL_MSG_BATCH_END),
  ];
  socket.send(concat(messages), what);

  // The kernel has answered every change, also of a batch that failed, by the time that send
  // returns.
  const buffer = new Uint8Array(64 << 10);
  let failure: SystemError | undefined;
  let answered = 0;
  while (answered < changes.length) {
    const length = socket.receive(buffer, what);
    if (length === undefined) break;
    for (const message of decodeMessages(buffer.subarray(0, length))) {
      if (message.type !== NLMSG_ERROR || message.sequence < first) continue;
      const number = -view(message.body).getInt32(0, true);
      if (number > 0) failure ??= new SystemError(number, what);
      answered++;
    }
  }
  if (failure) throw failure;
  if (answered < changes.length) throw new Error(`${what}: the kernel's answer ended early`);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
