/** ICMP echoes (RFC 792, RFC 4443) from inside a namespace, with an identifier of our own. */
import { SystemError } from "../../kernel/libc.ts";
import { addressFamilyOf, AF_INET6, SOCK_RAW, socketAddress } from "../../kernel/socket.ts";
import type { Failure } from "../failure.ts";
import { checksum, echo, icmpText } from "./frame.ts";
import { heard, openAs, type Sender } from "./connect.ts";

const IPPROTO_ICMP = 1, IPPROTO_ICMPV6 = 58;
const SOL_IP = 0, IP_MTU_DISCOVER = 10, SOL_IPV6 = 41, IPV6_MTU_DISCOVER = 23, IPV6_DONTFRAG = 62;
/** Sets DF, and goes by what is known of the path (IP_PMTUDISC_DO). */
const PMTUDISC_DO = 2;

export interface EchoOptions {
  /** Bytes of the whole packet; those of the smallest echo when absent. */
  size?: number;
  ms?: number;
}

/**
 * Asks once.
 *
 * @returns how it failed; undefined where it was answered
 */
export async function tryEcho(
  sender: Sender,
  address: string,
  id: number,
  { size = 0, ms = 900 }: EchoOptions = {},
): Promise<Failure | undefined> {
  const isV6 = addressFamilyOf(address) === AF_INET6;
  const headers = (isV6 ? 40 : 20) + 8;
  const payload = new Uint8Array(Math.max(16, size - headers)).fill(0x6d);
  try {
    using socket = openAs(
      sender,
      isV6 ? AF_INET6 : 2,
      SOCK_RAW,
      isV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
    );
    if (isV6) {
      socket.setOption(SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO);
      socket.setOption(SOL_IPV6, IPV6_DONTFRAG, 1);
    } else {
      socket.setOption(SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DO);
    }
    // A raw socket takes no port.
    const to = socketAddress(address, 0);
    const packet = echo(isV6, id, payload);
    if (!isV6) new DataView(packet.buffer).setUint16(2, checksum([packet]));
    socket.send(packet, `ask ${address}`, to);
    const said = await heard(socket, ms, (packet) => outcomeIn(packet, isV6, id));
    return said === "answered" ? undefined : said ?? { kind: "silence" };
  } catch (error) {
    if (error instanceof SystemError) return { kind: "errno", errno: error.errnoName };
    throw error;
  }
}

/** What a packet says of our echo, from its IP header on (IPv6: behind it); undefined for another's. */
export function outcomeIn(
  packet: Uint8Array,
  isV6: boolean,
  id: number,
): Failure | "answered" | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const at = isV6 ? 0 : ((packet[0] ?? 0) & 15) * 4;
  if (packet.length < at + 8) return undefined;
  const type = packet[at]!;
  if (type === (isV6 ? 129 : 0) && view.getUint16(at + 4) === id) return "answered";
  const quoted = at + 8 + (isV6 ? 40 : 20);
  const isError = isV6 ? type < 5 : type === 3 || type === 11;
  if (!isError || packet.length < quoted + 8 || view.getUint16(quoted + 4) !== id) return undefined;
  if (isV6 ? type === 2 : type === 3 && packet[at + 1] === 4) {
    return { kind: "too_big", mtu: isV6 ? view.getUint32(at + 4) : view.getUint16(at + 6) };
  }
  return { kind: "unreachable", said: icmpText(isV6 ? 6 : 4, type, packet[at + 1]!) };
}
