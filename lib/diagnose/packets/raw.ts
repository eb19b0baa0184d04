/** Sends an IP packet as it is from inside a namespace, by its routes and rules. */
import { AF_INET, AF_INET6, SOCK_RAW, Socket, socketAddress } from "../../kernel/socket.ts";
import { type Flow, ipPacket } from "./frame.ts";

const IPPROTO_RAW = 255;

/** @throws {SystemError} such as `EPERM` from a rule, or `ENETUNREACH` */
export function sendPacket(
  netns: string | undefined,
  flow: Flow,
  payload: Uint8Array<ArrayBuffer>,
): void {
  const isV6 = flow.source.includes(":");
  using socket = Socket.open(isV6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW, netns);
  socket.send(
    ipPacket(flow, { payload }),
    `send to ${flow.destination}`,
    socketAddress(flow.destination, 0),
  );
}
