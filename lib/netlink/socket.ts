/** Requests to the kernel over netlink(7), of any protocol. */
import { concat } from "../base/bytes.ts";
import { SystemError } from "../kernel/libc.ts";
import { AF_NETLINK, SOCK_RAW, Socket } from "../kernel/socket.ts";
import type { Change } from "./change.ts";
import {
  Attributes,
  decodeMessages,
  encodeMessage,
  fixedPart,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  structure,
} from "./message.ts";

/** Protocols (linux/netlink.h). */
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;

/** An option: what a dump's request does not want is left out, and not ignored (Linux 4.20). */
export const NETLINK_GET_STRICT_CHK = 12;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_EXT_ACK = 11;
/** With a capped answer, an error's request is not repeated in full. */
const NETLINK_CAP_ACK = 10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
/** recv(2) tells how long a message is, also where it does not fit. */
export const MSG_TRUNC = 0x20;

/** The kernel fills at most 32 KiB of a dump at a time, given a buffer of that size. */
const BUFFER_BYTES = 64 << 10;
const DUMP_ATTEMPTS = 5;
const EBUSY = 16;

/**
 * A socket that hears what the kernel tells a group of a protocol.
 *
 * @param netns path of the namespace's handle; the process's own when absent
 * @throws {SystemError}
 */
export function groupSocket(protocol: number, group: number, netns?: string): Socket {
  const socket = Socket.open(AF_NETLINK, SOCK_RAW, protocol, netns);
  try {
    // Without a port of its own it would hear nothing (struct sockaddr_nl).
    socket.bind(structure(12, [0, AF_NETLINK, 2]), "netlink");
    socket.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Of sockets that are closed, for those to come: an attach opens a dozen. */
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];

/** The kernel's answer to what it did not do. It is a whole answer: the socket is as good as new. */
export class Refusal extends SystemError {}

/**
 * A netlink socket in one network namespace. The kernel answers within the call that asks, so
 * nothing here waits.
 */
export class NetlinkSocket implements Disposable {
  readonly #socket: Socket;
  readonly #buffer = spareBuffers.pop() ?? new Uint8Array(BUFFER_BYTES);
  #sequence = 0;

  /**
   * @param netns path of the namespace's handle; the process's own when absent
   * @throws {SystemError}
   */
  constructor(protocol: number, netns?: string) {
    this.#socket = Socket.open(AF_NETLINK, SOCK_RAW, protocol, netns);
    this.#socket.setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1);
    this.#socket.setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1);
  }

  /**
   * Changes something, or asks for one thing.
   *
   * @param what the request as an operator would say it, for the error
   * @returns what the kernel answered before its acknowledgement
   * @throws {SystemError} with the kernel's own explanation, where it gives one
   */
  request(type: number, flags: number, parts: readonly Uint8Array[], what: string): Message[] {
    const messages: Message[] = [];
    const sequence = this.#send(type, flags | NLM_F_ACK, parts, what);
    for (const message of this.#answers(sequence, what)) {
      // The next answer comes into the same buffer.
      messages.push({ ...message, body: message.body.slice() });
    }
    return messages;
  }

  /**
   * Changes several things with one system call. The kernel takes them one after the other, and
   * goes on after one that it refuses: for changes that stand alone, or are all undone together.
   * Only the last one asks for an acknowledgement, since errors are always told.
   *
   * @throws {SystemError} of the first that was refused, with what is said of the others, once all
   *   have been tried
   */
  requestAll(changes: readonly Change[]): void {
    const first = this.#sequence + 1;
    const last = this.#sequence + changes.length;
    const messages = changes.map(({ type, flags, parts }) => {
      const ack = ++this.#sequence === last ? NLM_F_ACK : 0;
      return encodeMessage(type, flags | NLM_F_REQUEST | ack, this.#sequence, parts);
    });
    const what = changes.map(({ what }) => what).join(", ");
    this.#socket.send(concat(messages), what);
    const refusals: Refusal[] = [];
    for (const message of this.#received(what)) {
      const change = changes[message.sequence - first];
      // A message about a change comes before its acknowledgement, and is of no interest here.
      if (!change || message.type !== NLMSG_ERROR) continue;
      const refusal = refusalIn(message, change.what);
      if (refusal && refusal.errnoName !== change.unless) refusals.push(refusal);
      if (message.sequence === last) break;
    }
    const [refusal, ...others] = refusals;
    if (!refusal) return;
    refusal.message = [refusal, ...others].map(({ message }) => message).join("; ");
    throw refusal;
  }

  /**
   * As {@link request}, but the kernel does its work on another thread; the socket must not be
   * used meanwhile.
   */
  async requestElsewhere(
    type: number,
    flags: number,
    parts: readonly Uint8Array[],
    what: string,
  ): Promise<void> {
    const sequence = ++this.#sequence;
    const message = encodeMessage(type, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, parts);
    await this.#socket.sendElsewhere(message, what);
    for (const _ of this.#answers(sequence, what));
  }

  /** @param value of an option of SOL_NETLINK @throws {SystemError} */
  setOption(option: number, value: number): void {
    this.#socket.setOption(SOL_NETLINK, option, value);
  }

  /**
   * Lists everything of a kind. A list that changed while it was read is read again, a few times.
   *
   * @param isWanted whether there is anything to decode in a part of the answer: of ten thousand
   *   messages, most are passed over as they come, many at once
   * @throws {SystemError}
   */
  dump<T>(
    type: number,
    parts: readonly Uint8Array[],
    what: string,
    decode: (message: Message) => T | undefined,
    isWanted: (bytes: Uint8Array) => boolean = () => true,
  ): T[] {
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      const found: T[] = [];
      let interrupted = false;
      const sequence = this.#send(type, NLM_F_DUMP, parts, what);
      for (const message of this.#answers(sequence, what, isWanted)) {
        if (message.flags & NLM_F_DUMP_INTR) interrupted = true;
        if (!isWanted(message.body)) continue;
        // Decoded at once, since the next answer comes into the same buffer.
        const value = decode(message);
        if (value !== undefined) found.push(value);
      }
      if (!interrupted) return found;
    }
    throw new SystemError(EBUSY, `${what}: it changed each time while it was read`);
  }

  #send(type: number, flags: number, parts: readonly Uint8Array[], what: string): number {
    const sequence = ++this.#sequence;
    this.#socket.send(encodeMessage(type, flags | NLM_F_REQUEST, sequence, parts), what);
    return sequence;
  }

  /** @param isWanted of a part of the answer, whether there is anything to look at in it */
  *#answers(
    sequence: number,
    what: string,
    isWanted?: (bytes: Uint8Array) => boolean,
  ): Generator<Message> {
    for (const message of this.#received(what, isWanted)) {
      if (message.sequence !== sequence) continue;
      if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
        const refusal = refusalIn(message, what);
        if (refusal) throw refusal;
        return;
      }
      yield message;
    }
  }

  *#received(
    what: string,
    isWanted: (bytes: Uint8Array) => boolean = () => true,
  ): Generator<Message> {
    while (true) {
      const length = this.#socket.receiveFromKernel(this.#buffer, what, MSG_TRUNC);
      if (length === undefined) throw new Error(`${what}: the kernel's answer ended early`);
      if (length > this.#buffer.length) {
        throw new Error(`${what}: the kernel answered ${length} bytes at once`);
      }
      const bytes = this.#buffer.subarray(0, length);
      yield* decodeMessages(bytes, isWanted(bytes));
    }
  }

  [Symbol.dispose](): void {
    if (this.#socket.isOpen) spareBuffers.push(this.#buffer);
    this.#socket.close();
  }
}

/** What the end of an answer says; undefined for an acknowledgement. It begins with 0 or a negative errno. */
function refusalIn(message: Message, what: string): Refusal | undefined {
  if (message.body.length < 4) return undefined;
  const number = -fixedPart(message.body, 4).getInt32(0, true);
  return number > 0 ? new Refusal(number, what + explanation(message)) : undefined;
}

/** The kernel's words on an error (NLMSGERR_ATTR_MSG), behind the request it repeats. */
function explanation(message: Message): string {
  if (!(message.flags & NLM_F_ACK_TLVS) || message.type !== NLMSG_ERROR) return "";
  const request = message.flags & NLM_F_CAPPED ? 16 : fixedPart(message.body, 8).getUint32(4, true);
  const text = new Attributes(message.body.subarray(4 + request)).text(NLMSGERR_ATTR_MSG);
  return text ? ` (${text})` : "";
}
