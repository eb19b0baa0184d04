/** ARP by hand (RFC 826, RFC 5227): who answers for an address, seen from inside a namespace. */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { hexPairs } from "../../netlink/link.ts";
import type { Link } from "../../netlink/mod.ts";
import { AF_PACKET, SOCK_DGRAM, Socket } from "../../kernel/socket.ts";
import { ETH_P_ARP, ETH_P_IP, readPacket } from "./frame.ts";

const ARPHRD_ETHER = 1;
const REQUEST = 1;
const BROADCAST = new Uint8Array(6).fill(0xff);

/** How often to ask, and how long each time to wait for an answer, in ms. */
export interface Patience {
  attempts: number;
  ms: number;
}

/** For an answer that must come, also from a busy machine at the other end of a wire. */
const PATIENT: Patience = { attempts: 3, ms: 300 };

/** For one that should not come: whoever has the address answers in less. */
export const BRIEF: Patience = { attempts: 2, ms: 150 };

/** Of one question. */
const MOST_ANSWERS = 4;

/** After the first answer: another may claim the address as well. */
const SECOND_ANSWER_MS = 300;

/**
 * Asks on a link who has an address.
 *
 * @param sender our own address; without one (0.0.0.0) nobody learns from the question
 * @returns the hardware addresses that answered, each once; none if the link is down
 */
export async function whoHas(
  netns: string | undefined,
  link: Link,
  address: string,
  sender = "0.0.0.0",
  patience = PATIENT,
): Promise<string[]> {
  if (link.mac === undefined) return [];
  using socket = Socket.open(AF_PACKET, SOCK_DGRAM, bigEndian(ETH_P_ARP), netns);
  const to = linkAddress(link.index);
  const answers = new Set<string>();
  try {
    socket.bind(to, link.name);
    const question = request(link.mac, sender, address);
    for (let attempt = 0; attempt < patience.attempts && answers.size === 0; attempt++) {
      socket.send(question, `ask who has ${address} on ${link.name}`, to);
      await collect(socket, address, sender, answers, patience.ms);
    }
  } catch (error) {
    if (error instanceof SystemError && ["ENETDOWN", "ENXIO"].includes(error.errnoName)) return [];
    throw error;
  }
  return [...answers];
}

async function collect(
  socket: Socket,
  address: string,
  sender: string,
  answers: Set<string>,
  ms: number,
): Promise<void> {
  let end = performance.now() + ms;
  const buffer = new Uint8Array(64);
  // Whoever floods the wire with ARP does not prolong the wait, nor fill the answer.
  while (
    performance.now() < end && answers.size < MOST_ANSWERS &&
    await socket.readable(end - performance.now())
  ) {
    const length = socket.receive(buffer, "wait for an ARP answer");
    const mac = length === undefined
      ? undefined
      : ownerIn(buffer.subarray(0, length), address, sender);
    if (mac === undefined) continue;
    if (answers.size === 0) end = Math.min(end, performance.now() + SECOND_ANSWER_MS);
    answers.add(mac);
  }
}

/**
 * The hardware address that an ARP reply gives for an address; undefined if it is of another, or to
 * somebody else's question.
 */
export function ownerIn(reply: Uint8Array, address: string, asker: string): string | undefined {
  const seen = readPacket(ETH_P_ARP, reply);
  return seen?.protocol === "arp reply" && seen.source === address && seen.destination === asker
    ? hexPairs(reply.subarray(8, 14))
    : undefined;
}

/** An ARP request for Ethernet and IPv4. */
export function request(mac: string, sender: string, target: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ARPHRD_ETHER);
  view.setUint16(2, ETH_P_IP);
  bytes.set([6, 4], 4);
  view.setUint16(6, REQUEST);
  bytes.set(mac.split(":").map((pair) => parseInt(pair, 16)), 8);
  bytes.set(addressBytes(sender), 14);
  bytes.set(addressBytes(target), 24);
  return bytes;
}

/** struct sockaddr_ll (packet(7)) of everybody on a link. */
function linkAddress(index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_ARP);
  view.setInt32(4, index, true);
  bytes[11] = BROADCAST.length;
  bytes.set(BROADCAST, 12);
  return bytes;
}

function bigEndian(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}
