/** A datagram from inside a namespace, and whether anything comes back. */
import { ANY_ADDRESS, familyOfKnown } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { addressFamilyOf, SOCK_DGRAM, Socket, socketAddress } from "../../kernel/socket.ts";

const WAIT_MS = 900;

/** `answered`, `no answer`, or errno's name: `ECONNREFUSED` when the far end says that nobody listens. */
export async function tryDatagram(
  netns: string | undefined,
  address: string,
  port: number,
  token: number,
): Promise<string> {
  using socket = Socket.open(addressFamilyOf(address), SOCK_DGRAM, 0, netns);
  try {
    socket.bind(socketAddress(ANY_ADDRESS[familyOfKnown(address)], token), `port ${token}`);
    socket.connect(socketAddress(address, port), `${address} port ${port}`);
    socket.send(new TextEncoder().encode("mesos-cni diagnose"), `send to ${address}`);
    if (!await socket.readable(WAIT_MS)) return "no answer";
    return socket.receive(new Uint8Array(1500), `hear from ${address}`) === undefined
      ? "no answer"
      : "answered";
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
}
