/** What the kernel knows of the connections that the container's own programs have: whether they get on. */
import { type SocketEntry, sockets } from "../../netlink/sockets.ts";
import { NamespaceView, type Space } from "../../netlink/view.ts";
import { type Cause, cause, hint } from "../cause.ts";
import { type Look, saw } from "../look.ts";
import type { Scene } from "../scene.ts";

/** Sent again so often it has had no answer for three seconds, or a handshake for as long. */
const STALLED = 4;
const HALF_OPEN = 2;
/** What counters may grow by meanwhile. */
const LOOK_MS = 1000;
const MOST = 4;
/** What has no room: of connections that wait to be accepted, and of datagrams that wait to be read. */
const OVERFLOWS = [
  ["netstat", "ListenOverflows", "connections"],
  ["snmp", "RcvbufErrors", "datagrams"],
  ["snmp6", "Udp6RcvbufErrors", "datagrams of IPv6"],
] as const;

/** What its programs have asked others for, and nobody has acknowledged. */
export function unanswered(inside: Space): SocketEntry[] {
  const all = tcpOf(inside);
  return all.filter((one) =>
    one.state === "SYN_SENT" || one.sentAgain >= STALLED && !isServed(one, all)
  );
}

/** What clients of its have asked for, and whose handshake they do not end. */
export function halfOpen(inside: Space): SocketEntry[] {
  return tcpOf(inside).filter(isHalfOpen);
}

const isHalfOpen = ({ state, sentAgain }: SocketEntry) =>
  state === "SYN_RECV" && sentAgain >= HALF_OPEN;

export async function readConnections({ inside, name: container }: Scene): Promise<Look> {
  const all = tcpOf(inside);
  const found = all.flatMap((one): Cause[] => {
    const about = { container, address: one.remoteAddress };
    const seen = [`sent ${one.sentAgain} times again (/proc/net/tcp)`];
    if (isHalfOpen(one)) {
      const port = `${one.localPort}/tcp`;
      return [hint("connection_half_open", ["listener", "container"], { ...about, port }, seen)];
    }
    if (["SYN_SENT", "SYN_RECV"].includes(one.state) || one.sentAgain < STALLED) return [];
    const reason = ["conntrack", "outside"] as const;
    const value = `${one.sendQueue} bytes`;
    const values = { ...about, port: String(one.remotePort), value };
    // Clients go away without a word.
    const make = isServed(one, all) ? hint : cause;
    return [make("connection_stalled", reason, values, seen)];
  });
  const each = [...new Map(found.map((one) => [`${one.code} ${one.address}`, one])).values()];
  const lost = await overflows(inside, container);
  return saw(`${all.length} sockets of TCP`, [...each.slice(0, MOST), ...lost]);
}

/** What was thrown away some time is worth a look; what is thrown away now is lost. */
async function overflows(inside: Space, container: string): Promise<Cause[]> {
  const count = () => OVERFLOWS.map(([file, name]) => inside.counted(file, name));
  const before = count();
  if (before.every((one) => one === 0)) return [];
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const after = count();
  return OVERFLOWS.flatMap(([file, name, what], i) => {
    if (after[i] === 0) return [];
    const more = after[i]! - before[i]!;
    const value = more > 0
      ? `${more} ${what} in ${LOOK_MS / 1000} s`
      : `${after[i]} ${what} so far`;
    const make = more > 0 ? cause : hint;
    const seen = [`${name} of /proc/net/${file} is ${after[i]}`];
    return [make("socket_overflow", ["listener", "container"], { container, value }, seen)];
  });
}

/** What a socket of IPv6 has of an address of IPv4. */
const MAPPED = /^::ffff:(?=\d+\.)/;

function tcpOf(inside: Space): SocketEntry[] {
  if (!(inside instanceof NamespaceView)) return [];
  return sockets(inside).flatMap((one) =>
    one.protocol === "tcp" ? [{ ...one, remoteAddress: one.remoteAddress.replace(MAPPED, "") }] : []
  );
}

/** Whether it was asked for by a client of a port that somebody listens on. */
function isServed({ localPort }: SocketEntry, all: readonly SocketEntry[]): boolean {
  return all.some((one) => one.state === "LISTEN" && one.localPort === localPort);
}
