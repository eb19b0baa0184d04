/** Connections, datagrams and packets that are sent from inside a namespace. */
import { ANY_ADDRESS, familyOfKnown } from "../../base/ip.ts";
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
import { type Flow, ipPacket } from "./frame.ts";
import { openAs, type Sender } from "./sender.ts";

const SO_REUSEADDR = 2;
const SO_LINGER = 13;
const IPPROTO_RAW = 255;
const DATAGRAM_MS = 900;

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

/** Connects and hangs up. @returns `connected`, `timed out`, or errno's name */
export function tryConnect(probe: Probe, timeoutMs: number): Promise<string> {
  return connected(probe, SOCK_STREAM, async (socket) => {
    return await connectedTo(socket, timeoutMs) ? "connected" : "timed out";
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
    const isIn = await socket.readable(DATAGRAM_MS) &&
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
