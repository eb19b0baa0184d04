/**
 * Ports that no rule of a table names, known without reading its rules again: they were read once, and
 * since then the kernel has told of every commit (NFNLGRP_NFTABLES), whoever made it. Among ten thousand
 * mappings of the reference's portmap that is what an attach of the service costs but for our own rules.
 */
import { SystemError } from "../kernel/libc.ts";
import { holds, holdsAny } from "../kernel/memory.ts";
import type { Socket } from "../kernel/socket.ts";
import { attribute, decodeMessages, opened } from "../netlink/message.ts";
import { groupSocket, MSG_TRUNC, NETLINK_NETFILTER } from "../netlink/socket.ts";
import { nfMessage } from "../nft/changes.ts";
import { generation } from "../nft/rules.ts";

const NFNLGRP_NFTABLES = 7;
const NFT_MSG_NEWGEN = nfMessage(15);
/** As which, of two bytes, a rule has a port. */
const NFTA_DATA_VALUE = 1;
/** The header of that, on machines of this order. */
const TWO_BYTES = 6 | NFTA_DATA_VALUE << 16;

export class NamedPorts {
  /** By the two bytes of a packet, as a number of this machine; a port that is named no more stays. */
  readonly #named = new Uint8Array(1 << 16);
  /** Hears of what was changed since the rules were read. */
  #socket?: Socket;
  /** Kept, since it is heard at each attach. */
  readonly #heard = new Uint8Array(64 << 10);
  #isAskedAgain = false;
  /** That the rules were last read or told of at; undefined before. */
  #generation?: number;

  /** @param table whose name every message about a rule of it holds */
  constructor(private readonly table: Uint8Array) {}

  /**
   * What rules say of ports; none of them is read where none can name one.
   *
   * @param read the rules, all of what the kernel lists of them having been given to `isWanted`
   * @throws {SystemError}
   */
  find<T>(ports: readonly number[], read: (isWanted: (bytes: Uint8Array) => boolean) => T[]): T[] {
    const isWanted = holdsAny(
      ports.map((port) => attribute(NFTA_DATA_VALUE, Uint8Array.of(port >> 8, port & 255))),
    );
    // A program asks once: to note the ports of ten thousand rules takes it some ms, for nobody.
    if (!this.#isAskedAgain) {
      this.#isAskedAgain = true;
      return read(isWanted);
    }
    const now = generation();
    this.#hear();
    // A commit that is under way may be told of a moment later.
    const isKnown = now === this.#generation;
    if (isKnown && ports.every((port) => !this.#named[port >> 8 | (port & 255) << 8])) return [];
    this.#forget();
    this.#socket = groupSocket(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
    const before = generation();
    const found = read((bytes) => {
      this.#note(bytes);
      return isWanted(bytes);
    });
    this.#generation = before;
    return found;
  }

  /** The ports that rules name in a part of an answer, and some other numbers of two bytes. */
  #note(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    for (let at = 1; at < words.length; at++) {
      if (words[at - 1] === TWO_BYTES) this.#named[words[at]! & 0xffff] = 1;
    }
  }

  /** What did not fit its buffer, the kernel has not told: then nothing is known any more. */
  #hear(): void {
    const buffer = this.#heard;
    try {
      while (this.#socket) {
        const length = this.#socket.receiveFromKernel(buffer, "hear of rules", MSG_TRUNC);
        if (length === undefined) return;
        if (length > buffer.length) break;
        const bytes = buffer.subarray(0, length);
        if (holds(bytes, this.table)) this.#note(bytes);
        for (const { type, body } of decodeMessages(bytes)) {
          if (type === NFT_MSG_NEWGEN) this.#generation = opened(body, 4)[1].be32(1);
        }
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
    this.#forget();
  }

  #forget(): void {
    this.#socket?.close();
    this.#socket = this.#generation = undefined;
    this.#named.fill(0);
  }
}
