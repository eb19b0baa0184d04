/** A packet socket on a link (packet(7)): sees what of a probe passes there, in both directions. */
import { isA, unless } from "../../base/unless.ts";
import { AF_PACKET, SOCK_RAW, Socket } from "../../kernel/socket.ts";
import { SystemError } from "../../kernel/libc.ts";
import { hexPairs } from "../../netlink/link.ts";
import { ETH_P_IP, ETH_P_IPV6, readPacket, type Seen } from "../packets/frame.ts";
import type { Link } from "../../netlink/mod.ts";
import { SNAP_BYTES } from "../packets/filter.ts";
import { stationOn } from "../packets/who_has.ts";

const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
/** What one tap keeps of a flood that looks like the probe. */
const MOST_SIGHTINGS = 200;
const MSG_TRUNC = 0x20;

/** A packet of the probe, where it was seen. */
export interface Sighting {
  at: string;
  /** Whether the packet left by the link or came in by it. */
  direction: "out" | "in";
  packet: Seen;
  /** The hardware address that it goes to. */
  to?: string;
  /** Bytes from the network header on. */
  length: number;
  /** When, in ms of the kernel's clock. */
  ms?: number;
}

/** What the IP header says, since a filter cuts what is received. */
function ipLength(type: number, bytes: Uint8Array): number | undefined {
  if (type === ETH_P_IP) return bytes[2]! << 8 | bytes[3]!;
  return type === ETH_P_IPV6 ? 40 + (bytes[4]! << 8 | bytes[5]!) : undefined;
}

export class Tap implements Disposable {
  readonly #socket: Socket;

  /** @throws {SystemError} */
  constructor(
    readonly stop: { name: string; link: Link; netns?: string },
    filter: Uint8Array<ArrayBuffer>,
  ) {
    // Protocol 0: nothing is received before the filter is there and the socket bound.
    this.#socket = Socket.open(AF_PACKET, SOCK_RAW, 0, stop.netns);
    try {
      this.#socket.attachFilter(filter);
      void this.#socket.receivedAt;
      stationOn(this.#socket, stop.link, ETH_P_ALL);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  /** What came by since the last time. */
  *sightings(): Generator<Sighting> {
    const { name, link: { mac, kind } } = this.stop;
    // Ethernet's header, where frames have one.
    const offset = mac === undefined || kind === "tun" || kind === "ipip" ? 0 : 14;
    const buffer = new Uint8Array(SNAP_BYTES + 64);
    for (let i = 0; i < MOST_SIGHTINGS; i++) {
      // ENETDOWN is told once to each socket on a link that goes down.
      const received = unless(
        isA(SystemError),
        () => this.#socket.receiveFrom(buffer, `watch ${name}`, MSG_TRUNC),
      );
      if (!received) return;
      const { length, from } = received;
      const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
      const packet = readPacket(
        view.getUint16(2),
        buffer.slice(offset, Math.min(length, SNAP_BYTES)),
      );
      if (!packet) continue;
      yield {
        at: name,
        direction: from[10] === PACKET_OUTGOING ? "out" : "in",
        packet,
        to: offset > 0 ? hexPairs(buffer.subarray(0, 6)) : undefined,
        ms: this.#socket.receivedAt,
        length: ipLength(view.getUint16(2), buffer.subarray(offset)) ?? length - offset,
      };
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
