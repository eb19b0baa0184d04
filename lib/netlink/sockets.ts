/** The sockets of a namespace (/proc/net/tcp and its kin: Documentation/networking/proc_net_tcp.rst). */
import { addressText } from "../base/ip.ts";
import type { NamespaceView } from "./view.ts";

/** A TCP or UDP socket. */
export type SocketEntry = ReturnType<typeof parseSockets>[number];

/** include/net/tcp_states.h */
const STATES = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
] as const;

/** All TCP and UDP sockets, IPv4 first. */
export function sockets(view: NamespaceView): SocketEntry[] {
  return (["tcp", "tcp6", "udp", "udp6"] as const).flatMap((table) =>
    parseSockets(view.proc(`net/${table}`) ?? "", table.startsWith("tcp") ? "tcp" : "udp")
  );
}

/** Decodes a file such as /proc/net/tcp6. */
export function parseSockets(text: string, protocol: "tcp" | "udp") {
  return text.trim().split("\n").slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    if (fields.length < 10) return [];
    const [local, remote] = [endpoint(fields[1]!), endpoint(fields[2]!)];
    if (!local || !remote) return [];
    const [[localAddress, localPort], [remoteAddress, remotePort]] = [local, remote];
    const state = STATES[parseInt(fields[3]!, 16)] ?? fields[3]!;
    const [sendQueue, receiveQueue] = fields[4]!.split(":").map((hex) => parseInt(hex, 16));
    return [{
      protocol,
      localAddress,
      localPort,
      remoteAddress,
      remotePort,
      /** `LISTEN`, `ESTABLISHED`, …; `UNCONN` for UDP without a peer. */
      state: protocol === "udp" && state === "CLOSE" ? "UNCONN" : state,
      /** Bytes that wait to be sent, and to be read. */
      sendQueue: sendQueue!,
      receiveQueue: receiveQueue!,
      /** How often what nobody acknowledges was sent again (timer 1: a retransmission is due). */
      sentAgain: fields[5]!.startsWith("01:") ? parseInt(fields[6]!, 16) : 0,
      inode: Number(fields[9]),
    }];
  });
}

/** An address is written as 32-bit words in the machine's order, the port as a number. */
function endpoint(text: string): [string, number] | undefined {
  const [, hex, port] = /^((?:[0-9A-F]{8}|[0-9A-F]{32})):([0-9A-F]{4})$/.exec(text) ?? [];
  if (hex === undefined) return undefined;
  const bytes = new Uint8Array(hex.length / 2);
  for (let word = 0; word < bytes.length; word += 4) {
    for (let i = 0; i < 4; i++) {
      bytes[word + i] = parseInt(hex.slice((word + 3 - i) * 2, (word + 4 - i) * 2), 16);
    }
  }
  return [addressText(bytes), parseInt(port!, 16)];
}
