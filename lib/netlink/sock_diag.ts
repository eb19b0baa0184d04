/** Sockets of this network namespace (sock_diag(7), linux/inet_diag.h). */
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";
import { addressOf, Attributes, fixedPart, type Message, structure } from "./message.ts";
import { NETLINK_SOCK_DIAG, NetlinkSocket } from "./socket.ts";

const SOCK_DIAG_BY_FAMILY = 20;
/** sizeof(struct inet_diag_req_v2) */
const REQUEST_BYTES = 56;
/** sizeof(struct inet_diag_msg) */
const ANSWER_BYTES = 72;
const INET_DIAG_SKV6ONLY = 11;
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/** A socket that receives what comes to a port. */
export type Listener = NonNullable<ReturnType<typeof decodeListener>>;

/**
 * Sockets that listen on a port (TCP), or are bound to it without being connected (UDP).
 *
 * @param port 0 for every port
 * @throws {SystemError}
 */
export function listeners(
  protocol: keyof typeof PROTOCOLS,
  port: number,
  netns?: string,
): Listener[] {
  using socket = new NetlinkSocket(NETLINK_SOCK_DIAG, netns);
  return [AF_INET, AF_INET6].flatMap((family) => {
    const state = 1 << (protocol === "tcp" ? TCP_LISTEN : TCP_CLOSE);
    const request = structure(
      REQUEST_BYTES,
      [0, family, 1],
      [1, PROTOCOLS[protocol], 1],
      [4, state, 4],
      [8, port << 8 | port >> 8, 2], // in network order
    );
    const decode = (message: Message) => decodeListener(message, family, port);
    return socket.dump(SOCK_DIAG_BY_FAMILY, [request], "list sockets", decode);
  });
}

/** Decodes struct inet_diag_msg; undefined for a socket that is not bound to `port`, which may be 0 for any. */
export function decodeListener({ body }: Message, family: number, port: number) {
  const socket = fixedPart(body, ANSWER_BYTES);
  const bound = socket.getUint16(4);
  if (port !== 0 && bound !== port) return undefined;
  return {
    port: bound,
    /** The local address that it is bound to; 0.0.0.0 or :: for every address. */
    address: addressOf(body.subarray(8, family === AF_INET ? 12 : 24)),
    /** The user it belongs to. */
    uid: socket.getUint32(64, true),
    /** As in /proc/PID/fd: `socket:[inode]`. */
    inode: socket.getUint32(68, true),
    /** Index of the device that it is bound to (SO_BINDTODEVICE). */
    device: socket.getUint32(40, true) || undefined,
    /** Of TCP, connections that wait to be accepted, and how many may. */
    waiting: socket.getUint32(56, true),
    most: socket.getUint32(60, true),
    /** Whether it takes IPv6 alone (IPV6_V6ONLY). */
    only6: new Attributes(body.subarray(ANSWER_BYTES)).u8(INET_DIAG_SKV6ONLY) === 1,
  };
}

/** Whether a socket hears what comes to an address. */
export function accepts(
  { address: bound, only6 }: Pick<Listener, "address" | "only6">,
  { address, family }: { address: string; family: 4 | 6 },
): boolean {
  if (bound === address) return true;
  return family === 6 ? bound === "::" : bound === "0.0.0.0" || bound === "::" && !only6;
}

/** Whether as many connections wait to be accepted as may. */
export function isFull({ waiting, most }: Listener): boolean {
  return waiting > 0 && waiting >= most;
}
