/**
 * Who has an address on a link, asked by hand from inside a namespace: ARP (RFC 826, RFC 5227), and
 * neighbour discovery (RFC 4861), which the kernel would not do where an entry was made by hand.
 */
import { addressBytes, addressText } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { hexPairs } from "../../netlink/link.ts";
import type { Link } from "../../netlink/mod.ts";
import {
  AF_INET6,
  AF_PACKET,
  SOCK_DGRAM,
  SOCK_RAW,
  Socket,
  socketAddress,
} from "../../kernel/socket.ts";
import { macBytes } from "../../netlink/link_changes.ts";
import { heard } from "./connect.ts";
import { probeFilter } from "./filter.ts";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, packed, readPacket } from "./frame.ts";

const ARPHRD_ETHER = 1;
const REQUEST = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_IPV6 = 41, IPV6_MULTICAST_IF = 17, IPV6_MULTICAST_HOPS = 18;
const SOLICITATION = 135;
/** None, where only ARP and neighbour discovery are listened to. */
export const NO_TOKENS = { first: 0xffff, last: 0 };
const SOURCE_ADDRESS = 1, TARGET_ADDRESS = 2;

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

/**
 * Asks on a link who has an address.
 *
 * @param sender our own address, for IPv4; without one (0.0.0.0) nobody learns from the question
 * @returns the hardware addresses that answered, each once; none if nothing can be sent there
 */
export async function whoHas(
  netns: string | undefined,
  link: Link,
  address: string,
  sender = "0.0.0.0",
  patience = PATIENT,
): Promise<string[]> {
  if (link.mac === undefined) return [];
  const isV6 = address.includes(":");
  // It hears on the wire, where an answer is one also if a rule drops it behind that.
  using wire = Socket.open(AF_PACKET, SOCK_DGRAM, 0, netns);
  using icmp = isV6 ? Socket.open(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, netns) : undefined;
  const answers = new Set<string>();
  try {
    wire.attachFilter(probeFilter(NO_TOKENS, [address]));
    const everybody = stationOn(wire, link, isV6 ? ETH_P_IPV6 : ETH_P_ARP);
    const to = icmp ? groupOf(icmp, address, link) : everybody;
    const question = isV6 ? solicitation(link.mac, address) : request(link.mac, sender, address);
    for (let attempt = 0; attempt < patience.attempts && answers.size === 0; attempt++) {
      (icmp ?? wire).send(question, `ask who has ${address} on ${link.name}`, to);
      const ownerOf = (answer: Uint8Array) =>
        isV6 ? advertisedIn(answer, address) : ownerIn(answer, address, sender);
      await heard(wire, patience.ms, (packet) => {
        const mac = ownerOf(packet);
        // Another may claim the address as well.
        if (mac !== undefined) answers.add(mac);
        return answers.size < MOST_ANSWERS ? undefined : answers;
      });
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // A link that is down takes no question, and a rule may refuse one.
    if (!isV6 && !["ENETDOWN", "ENXIO"].includes(error.errnoName)) throw error;
  }
  return [...answers];
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

/** The same of a neighbour advertisement. */
export function advertisedIn(packet: Uint8Array, address: string): string | undefined {
  const seen = readPacket(ETH_P_IPV6, packet);
  const isAbout = packet.length >= 72 && packet[64] === TARGET_ADDRESS &&
    seen?.protocol === "nd reply" && seen.target === addressText(addressBytes(address));
  return isAbout ? hexPairs(packet.subarray(66, 72)) : undefined;
}

/** An ARP request for Ethernet and IPv4. */
export function request(mac: string, sender: string, target: string): Uint8Array<ArrayBuffer> {
  return packed(28, [
    ...[[0, ARPHRD_ETHER], [2, ETH_P_IP], [4, [6, 4]], [6, REQUEST]] as const,
    ...[[8, macBytes(mac)], [14, addressBytes(sender)], [24, addressBytes(target)]] as const,
  ]);
}

/** A neighbour solicitation, without its checksum, which the kernel computes. */
function solicitation(mac: string, target: string): Uint8Array<ArrayBuffer> {
  const source = [SOURCE_ADDRESS, 1, ...macBytes(mac)];
  return packed(32, [[0, [SOLICITATION]], [8, addressBytes(target)], [24, source]]);
}

/** The group that who has an address listens to (RFC 4291, 2.7.1), on a link. */
function groupOf(socket: Socket, address: string, { index }: Link): Uint8Array<ArrayBuffer> {
  socket.setOption(SOL_IPV6, IPV6_MULTICAST_IF, index);
  // What has passed a router is none of a neighbour (RFC 4861, 7.1.1).
  socket.setOption(SOL_IPV6, IPV6_MULTICAST_HOPS, 255);
  const to = socketAddress("ff02::1:ff00:0", 0);
  to.set(addressBytes(address).subarray(13), 8 + 13);
  new DataView(to.buffer).setUint32(24, index, true);
  return to;
}

/** struct sockaddr_ll (packet(7)) of a station on a link, to which the socket is bound. */
export function stationOn(
  socket: Socket,
  { index, name }: Pick<Link, "index" | "name">,
  protocol: number,
  mac = "ff:ff:ff:ff:ff:ff",
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol);
  view.setInt32(4, index, true);
  bytes[11] = 6;
  bytes.set(macBytes(mac), 12);
  socket.bind(bytes, name);
  return bytes;
}
