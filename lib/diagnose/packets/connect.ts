/** Connections, datagrams and packets that are sent from inside a namespace. */
import { ANY_ADDRESS, familyOfKnown } from "../../base/ip.ts";
import { errno, unless } from "../../base/unless.ts";
import { SystemError } from "../../kernel/libc.ts";
import {
  addressFamilyOf,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  Socket,
  socketAddress,
  SOL_SOCKET,
} from "../../kernel/socket.ts";
import { inNamespaces } from "../../kernel/namespaces.ts";
import { asUser, type User } from "../../kernel/privileges.ts";
import { type Flow, ipPacket } from "./frame.ts";

const SO_REUSEADDR = 2;
const SO_LINGER = 13;
const IPPROTO_RAW = 255;
/** Sooner than the kernel sends a SYN anew, whose answer would hide that one was lost. */
const ANSWER_MS = 900;

/** Who sends a probe: the namespace that its sockets are of, and the user that they belong to. */
export interface Sender {
  /** Path of the namespace; this process's own when absent. */
  netns?: string;
  /** Of the task; a rule may go by it. This process's own when absent. */
  user?: User;
}

/** Opens a socket that is the sender's. @throws {SystemError} */
export function openAs(
  { netns, user }: Sender,
  family: number,
  type: number,
  protocol: number,
): Socket {
  // Only the socket is the user's: a namespace is entered with this program's own rights.
  const create = () => Socket.open(family, type, protocol);
  const asOther = user ? () => asUser(user, create) : create;
  return netns === undefined ? asOther() : inNamespaces({ net: netns }, asOther);
}

/** Where a probe goes, and the port that it comes from, by which it is recognised. */
export interface Probe extends Sender {
  address: string;
  port: number;
  /** The kernel chooses when absent. */
  token?: number;
}

/** What is done with a connected socket, or errno's name, such as `ECONNREFUSED`. */
export async function connected(
  { address, port, token, ...sender }: Probe,
  type: typeof SOCK_STREAM | typeof SOCK_DGRAM,
  use: (socket: Socket) => Promise<string>,
): Promise<string> {
  using socket = openAs(sender, addressFamilyOf(address), type, 0);
  try {
    if (token !== undefined) {
      if (type === SOCK_STREAM) {
        socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1);
        // Hung up by a reset: a probe leaves no TIME_WAIT behind.
        socket.setOption(SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
      }
      socket.bind(socketAddress(ANY_ADDRESS[familyOfKnown(address)], token), `port ${token}`);
    }
    socket.connect(socketAddress(address, port), `${address} port ${port}`);
    return await use(socket);
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
}

/** What has come in time, and is read after it: on a busy machine it has come long ago. */
const MOST_LATE = 64;

/**
 * What the first packet that says anything says; undefined where none came in time. Whoever floods the socket
 * does not prolong the wait.
 */
export async function heard<T>(
  socket: Socket,
  ms: number,
  said: (packet: Uint8Array, from: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  const end = performance.now() + ms;
  const buffer = new Uint8Array(2048);
  for (let late = 0; late < MOST_LATE;) {
    const left = end - performance.now();
    if (left <= 0) late++;
    else await socket.readable(left);
    const received = socket.receiveFrom(buffer, "hear an answer");
    if (!received && left <= 0) return undefined;
    const one = received && said(buffer.subarray(0, received.length), received.from);
    if (one !== undefined) return one;
  }
  return undefined;
}

/** Connects and hangs up. @returns `connected`, `timed out`, or errno's name */
export function tryConnect(probe: Probe): Promise<string> {
  return connected(probe, SOCK_STREAM, async (socket) => {
    return await connectedTo(socket, ANSWER_MS) ? "connected" : "timed out";
  });
}

/** Waits for a connection that was begun. @throws {SystemError} such as `ECONNREFUSED` */
export async function connectedTo(socket: Socket, timeoutMs: number): Promise<boolean> {
  if (!await socket.writable(timeoutMs)) return false;
  const error = socket.takeError();
  if (error !== 0) throw new SystemError(error, "connect");
  return true;
}

/** @returns `answered`, `no answer`, or errno's name: `ECONNREFUSED` when nobody listens there */
export function tryDatagram(probe: Probe): Promise<string> {
  return connected(probe, SOCK_DGRAM, async (socket) => {
    socket.send(new TextEncoder().encode("mesos-cni diagnose"), `send to ${probe.address}`);
    const isIn = await socket.readable(ANSWER_MS) &&
      socket.receive(new Uint8Array(1500), `hear from ${probe.address}`) !== undefined;
    return isIn ? "answered" : "no answer";
  });
}

/** Sends an IP packet as it is, by the namespace's routes and rules. @throws {SystemError} such as `EPERM` from a rule */
export function sendPacket(
  netns: string | undefined,
  flow: Flow,
  payload: Uint8Array<ArrayBuffer>,
): void {
  using socket = Socket.open(addressFamilyOf(flow.source), SOCK_RAW, IPPROTO_RAW, netns);
  const to = socketAddress(flow.destination, 0);
  socket.send(ipPacket(flow, { payload }), `send to ${flow.destination}`, to);
}

/** Who speaks first has done so by then. */
const FIRST_WORD_MS = 60;
const PADDING = "x".repeat(1000);
/** A request for HTTP that no segment holds whole: what is lost of a stream shows by it. */
export const REQUEST = new TextEncoder().encode(
  "GET / HTTP/1.1\r\nHost: mesos-cni\r\nUser-Agent: mesos-cni-diagnose\r\nConnection: close\r\n" +
    [1, 2, 3].map((n) => `X-Padding-${n}: ${PADDING}\r\n`).join("") + "\r\n",
);

/**
 * `answered` if anything came; `silent` if what was sent has arrived; `closed` or `reset` before anything was
 * said; `hung up` on the request, or `cut off` by a reset; `stuck` if it does not arrive; `timed out`; or errno's name.
 *
 * @param answerMs how long an answer to a request is waited for; without it none is sent
 * @param look asked before a silent connection is closed; what it says is the outcome, if anything
 */
export async function talk(
  probe: Probe,
  answerMs: number | undefined,
  look: () => string | undefined,
): Promise<string> {
  const outcome = await connected(probe, SOCK_STREAM, async (socket) => {
    if (!await connectedTo(socket, ANSWER_MS)) return "timed out";
    const hear = () => socket.receive(new Uint8Array(1500), `hear from ${probe.address}`) ?? 0;
    if (await socket.readable(FIRST_WORD_MS)) return hear() > 0 ? "answered" : "closed";
    if (answerMs === undefined) return "connected";
    socket.send(REQUEST, `ask ${probe.address}`);
    if (await socket.readable(answerMs)) {
      const length = unless(errno("ECONNRESET"), hear);
      return length === undefined ? "cut off" : length > 0 ? "answered" : "hung up";
    }
    return socket.unacknowledged > 0 ? "stuck" : look() ?? "silent";
  });
  // Before there is a connection a reset is ECONNREFUSED; and who is told of it by a send is so by EPIPE.
  return outcome === "ECONNRESET" || outcome === "EPIPE" ? "reset" : outcome;
}
