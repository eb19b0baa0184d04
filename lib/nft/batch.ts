/**
 * Transactions of nf_tables over nfnetlink (linux/netfilter/nfnetlink.h): the kernel commits all
 * changes of a batch or none.
 */
import { concat } from "../base/bytes.ts";
import { errno, unless } from "../base/unless.ts";
import { SystemError } from "../kernel/libc.ts";
import {
  attribute,
  decodeMessages,
  encodeMessage,
  fixedPart,
  type Message,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from "../netlink/message.ts";
import { NETLINK_NETFILTER, NetlinkSocket, Refusal } from "../netlink/socket.ts";
import { AF_NETLINK, SOCK_RAW, Socket, SOL_SOCKET } from "../kernel/socket.ts";
import { be32 } from "./wire.ts";

/** Of nfnetlink's subsystems, nf_tables: the high byte of its messages' types. */
export const NFNL_SUBSYS_NFTABLES = 10;

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
/** Attribute of BATCH_BEGIN: the generation of the rule set that the batch was made for. */
const NFNL_BATCH_GENID = 1;
/** Of a change to rules or elements: the kernel tells this socket what became of it. */
export const NLM_F_ECHO = 0x8;

/** The kernel takes the smaller of a message and the send buffer; these pass the system's limit. */
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/** The largest batch, in bytes, that is sent as one transaction. */
const LARGEST_BATCH = 16 << 20;
const EMSGSIZE = 90;
const ENOBUFS = 105;

/**
 * A socket that stays open between calls: close(2) of one waits until the kernel has freed the rules
 * that were deleted through it, which takes ten times as long as the deletion. After an error it is
 * renewed, since a socket whose receive buffer overflowed (ENOBUFS) may still hold answers to an earlier
 * request; not after a refusal, which is the answer and all of it.
 */
class Kept<S extends Disposable> {
  #socket?: S;

  constructor(private readonly open: () => S) {}

  use<T>(work: (socket: S) => T): T {
    try {
      return work(this.#socket ??= this.open());
    } catch (error) {
      if (!(error instanceof Refusal)) {
        this.#socket?.[Symbol.dispose]();
        this.#socket = undefined;
      }
      throw error;
    }
  }
}

const requests = new Kept(() => new NetlinkSocket(NETLINK_NETFILTER));
const batches = new Kept(() => new BatchSocket());

/** Asks nfnetlink in this process's network namespace. @throws {SystemError} */
export function withNfnetlink<T>(ask: (socket: NetlinkSocket) => T): T {
  return requests.use(ask);
}

/** Undefined for what is not there: nothing has a name that is longer than names can be. */
export function unlessAbsent<T>(ask: () => T): T | undefined {
  return unless(errno("ENOENT", "ERANGE"), ask);
}

/** struct nfgenmsg: what every nfnetlink message begins with. */
export function nfHeader(family: number, resource = 0): Uint8Array<ArrayBuffer> {
  return new Uint8Array([family, 0, resource >> 8, resource & 0xff]);
}

/** One message of a batch. */
export interface Change {
  /** Subsystem and message, as in the header. */
  type: number;
  /** Flags besides NLM_F_REQUEST, such as NLM_F_CREATE. */
  flags?: number;
  /** The message's parts, its nfgenmsg first. */
  parts: readonly Uint8Array[];
}

/**
 * Applies changes in one transaction.
 *
 * @param what the changes as an operator would say them
 * @param generation of the rule set: the kernel refuses the batch (ERESTART) if it is another by now
 * @returns what the kernel echoed of changes with NLM_F_ECHO, in the order of the changes; undefined if the socket could not
 *   hold it, though the changes were made
 * @throws {SystemError} of the first change that failed; then none was made. `EMSGSIZE` for more
 *   than {@link LARGEST_BATCH} bytes
 */
export function applyBatch(
  changes: readonly Change[],
  what: string,
  generation?: number,
): Message[] | undefined {
  if (changes.length === 0) return [];
  return batches.use((socket) => socket.apply(changes, what, generation));
}

/** A socket for batches, of this process's network namespace or another. */
export class BatchSocket implements Disposable {
  readonly #socket: Socket;
  #sequence = 0;

  /** @throws {SystemError} */
  constructor(netns?: string) {
    this.#socket = Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, netns);
    // What they may hold, and not what they take.
    this.#allow(SO_SNDBUFFORCE, SO_SNDBUF, LARGEST_BATCH);
    // An echoed message takes its own size again, and the kernel's bookkeeping as much.
    this.#allow(SO_RCVBUFFORCE, SO_RCVBUF, 4 * LARGEST_BATCH);
  }

  /** As {@link applyBatch}. */
  apply(changes: readonly Change[], what: string, generation?: number): Message[] | undefined {
    const echo = changes.some(({ flags = 0 }) => (flags & NLM_F_ECHO) !== 0);
    const first = this.#sequence + 1;
    const bytes = this.#encode(changes, generation);
    const last = this.#sequence - 1;
    if (bytes.length > LARGEST_BATCH) {
      throw new SystemError(EMSGSIZE, `${what}: ${bytes.length} bytes in one transaction`);
    }
    this.#socket.send(bytes, what);

    // The kernel has answered by the time that send returns.
    const echoed: Message[] = [];
    let failure: SystemError | undefined;
    let acknowledged = false;
    let overflowed = false;
    for (const message of this.#received(what, () => overflowed = true)) {
      if (message.type !== NLMSG_ERROR) {
        if (echo && message.sequence >= first) echoed.push(message);
        continue;
      }
      if (message.sequence < first) continue;
      const number = -fixedPart(message.body, 4).getInt32(0, true);
      if (number > 0) failure ??= new Refusal(number, what);
      else if (message.sequence === last) acknowledged = true;
    }
    if (failure) throw failure;
    if (!acknowledged && !overflowed) throw new Error(`${what}: the kernel's answer ended early`);
    if (!acknowledged) throw new SystemError(ENOBUFS, `${what}: the kernel's answer was lost`);
    return overflowed ? undefined : echoed;
  }

  /** Only the last change asks for an acknowledgement: errors are always told, and answers cost room. */
  #encode(changes: readonly Change[], generation?: number) {
    const header = nfHeader(0, NFNL_SUBSYS_NFTABLES);
    const begin: Uint8Array[] = [header];
    if (generation !== undefined) begin.push(attribute(NFNL_BATCH_GENID, be32(generation)));
    return concat([
      encodeMessage(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, ++this.#sequence, begin),
      ...changes.map(({ type, flags = 0, parts }, index) => {
        const ack = index === changes.length - 1 ? NLM_F_ACK : 0;
        return encodeMessage(type, NLM_F_REQUEST | ack | flags, ++this.#sequence, parts);
      }),
      encodeMessage(NFNL_MSG_BATCH_END, NLM_F_REQUEST, ++this.#sequence, [header]),
    ]);
  }

  /** Root may pass the system's limit; root of a user namespace gets as much as the limit allows. */
  #allow(force: number, within: number, bytes: number): void {
    try {
      this.#socket.setOption(SOL_SOCKET, force, bytes);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#socket.setOption(SOL_SOCKET, within, bytes);
    }
  }

  *#received(what: string, onOverflow: () => void): Generator<Message> {
    const buffer = new Uint8Array(64 << 10);
    for (let overflows = 0;;) {
      let length: number | undefined;
      try {
        length = this.#socket.receiveFromKernel(buffer, what);
      } catch (error) {
        if (!(error instanceof SystemError) || error.errno !== ENOBUFS || ++overflows > 8) {
          throw error;
        }
        onOverflow();
        continue;
      }
      if (length === undefined) return;
      for (const message of decodeMessages(buffer.subarray(0, length))) {
        // A copy, since the next answer comes into the same buffer.
        yield { ...message, body: message.body.slice() };
      }
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
