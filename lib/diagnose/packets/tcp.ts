/** A TCP connection tried from inside a namespace. */
import { ANY_ADDRESS, familyOfKnown } from "../../base/ip.ts";
import { ERRNO_NAMES } from "../../kernel/errno.ts";
import { SystemError } from "../../kernel/libc.ts";
import {
  addressFamilyOf,
  SOCK_STREAM,
  Socket,
  socketAddress,
  SOL_SOCKET,
} from "../../kernel/socket.ts";

/** `connected`, `timed out`, or errno's name such as `ECONNREFUSED`. */
export type ConnectOutcome = string;

const SO_REUSEADDR = 2;
const SO_LINGER = 13;

/**
 * Connects and hangs up.
 *
 * @param netns path of the namespace; this process's own when absent
 * @param fromPort the port to come from; the kernel chooses when absent
 */
export async function tryConnect(
  netns: string | undefined,
  address: string,
  port: number,
  timeoutMs: number,
  fromPort?: number,
): Promise<ConnectOutcome> {
  using socket = Socket.open(addressFamilyOf(address), SOCK_STREAM, 0, netns);
  try {
    if (fromPort !== undefined) {
      socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1);
      // Hung up by a reset: a probe leaves no TIME_WAIT behind.
      socket.setOption(SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
      socket.bind(socketAddress(ANY_ADDRESS[familyOfKnown(address)], fromPort), `port ${fromPort}`);
    }
    socket.connect(socketAddress(address, port), `${address} port ${port}`);
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
  if (!await socket.writable(timeoutMs)) return "timed out";
  const error = socket.takeError();
  return error === 0 ? "connected" : ERRNO_NAMES[error]?.[0] ?? `errno ${error}`;
}
