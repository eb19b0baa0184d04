/** Who answers for an IPv6 address on a link: the kernel is made to ask (RFC 4861), and watched. */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { hexPairs } from "../../netlink/link.ts";
import { type Link, Netlink } from "../../netlink/mod.ts";
import { AF_INET6, SOCK_DGRAM, SOCK_RAW, Socket } from "../../kernel/socket.ts";

import { macBytes } from "./frame.ts";

/** The discard service: what arrives there is thrown away. */
const DISCARD_PORT = 9;
const PATIENCE_MS = 1200;
const INTERVAL_MS = 40;
const KNOWN = new Set(["REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT", "NOARP"]);

/**
 * Sends a datagram to an address and sees which hardware address the kernel finds for it.
 *
 * @returns undefined when nobody answers. An answer of the last half minute counts as one.
 */
export async function neighbourFor(
  netns: string | undefined,
  link: Link,
  address: string,
): Promise<string | undefined> {
  using netlink = Netlink.open(netns);
  using socket = Socket.open(AF_INET6, SOCK_DGRAM, 0, netns);
  try {
    socket.send(new Uint8Array(1), `ask for ${address}`, onLink(address, link.index, DISCARD_PORT));
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const entry = netlink.neighbours().find((one) =>
      one.link === link.index && one.address === address
    );
    if (entry?.mac !== undefined && entry.state === "PERMANENT") {
      return await solicit(netns, link, address) ?? entry.mac;
    }
    if (entry?.mac !== undefined && KNOWN.has(entry.state)) return entry.mac;
    if (entry?.state === "FAILED") return undefined;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
  return undefined;
}

const IPPROTO_ICMPV6 = 58;
const SOL_IPV6 = 41, IPV6_MULTICAST_IF = 17, IPV6_MULTICAST_HOPS = 18;
const SOLICITATION = 135, ADVERTISEMENT = 136;
const SOURCE_ADDRESS = 1, TARGET_ADDRESS = 2;
const ANSWER_MS = 300;

/** Asks by hand, where the kernel does not because an entry was made by hand too. */
async function solicit(
  netns: string | undefined,
  link: Link,
  address: string,
): Promise<string | undefined> {
  if (link.mac === undefined) return undefined;
  const target = addressBytes(address);
  const question = new Uint8Array(32);
  question[0] = SOLICITATION;
  question.set(target, 8);
  question.set([SOURCE_ADDRESS, 1, ...macBytes(link.mac)], 24);
  using socket = Socket.open(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, netns);
  try {
    socket.setOption(SOL_IPV6, IPV6_MULTICAST_IF, link.index);
    // What has passed a router is none of a neighbour (RFC 4861, 7.1.1).
    socket.setOption(SOL_IPV6, IPV6_MULTICAST_HOPS, 255);
    const group = `ff02::1:ff${
      hexPairs(target.subarray(13)).replaceAll(":", "").replace(/^(..)/, "$1:")
    }`;
    socket.send(question, `ask who has ${address}`, onLink(group, link.index));
    const end = performance.now() + ANSWER_MS;
    const buffer = new Uint8Array(256);
    while (performance.now() < end && await socket.readable(end - performance.now())) {
      const length = socket.receive(buffer, "wait for an advertisement");
      if (length === undefined || length < 32 || buffer[0] !== ADVERTISEMENT) continue;
      const isIt = target.every((byte, i) => buffer[8 + i] === byte);
      if (isIt && buffer[24] === TARGET_ADDRESS) return hexPairs(buffer.subarray(26, 32));
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  return undefined;
}

/** struct sockaddr_in6, with the link that a link-local address needs. */
function onLink(address: string, link: number, port = 0): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(28));
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port);
  new Uint8Array(view.buffer).set(addressBytes(address), 8);
  view.setUint32(24, link, true);
  return new Uint8Array(view.buffer);
}
