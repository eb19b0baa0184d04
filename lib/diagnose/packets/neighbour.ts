/** Who answers for an IPv6 address on a link: the kernel is made to ask (RFC 4861), and watched. */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { type Link, Netlink } from "../../netlink/mod.ts";
import { AF_INET6, SOCK_DGRAM, Socket } from "../../kernel/socket.ts";

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
    socket.send(new Uint8Array(1), `ask for ${address}`, onLink(address, link.index));
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const entry = netlink.neighbours().find((one) =>
      one.link === link.index && one.address === address
    );
    if (entry?.mac !== undefined && KNOWN.has(entry.state)) return entry.mac;
    if (entry?.state === "FAILED") return undefined;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
  return undefined;
}

/** struct sockaddr_in6, with the link that a link-local address needs. */
function onLink(address: string, link: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(28));
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, DISCARD_PORT);
  new Uint8Array(view.buffer).set(addressBytes(address), 8);
  view.setUint32(24, link, true);
  return new Uint8Array(view.buffer);
}
