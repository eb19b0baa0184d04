/** A TCP connection tried from inside a namespace. */
import { ERRNO_NAMES } from "../../kernel/errno.ts";
import { addressFamilyOf, socketAddress } from "../../kernel/socket.ts";
import { SystemError } from "../../kernel/libc.ts";
import { SOCK_STREAM, Socket } from "../../kernel/socket.ts";

/** `connected`, `timed out`, or errno's name such as `ECONNREFUSED`. */
export type ConnectOutcome = string;

/**
 * Connects and hangs up.
 *
 * @param netns path of the namespace; this process's own when absent
 */
export async function tryConnect(
  netns: string | undefined,
  address: string,
  port: number,
  timeoutMs: number,
): Promise<ConnectOutcome> {
  using socket = Socket.open(addressFamilyOf(address), SOCK_STREAM, 0, netns);
  try {
    socket.connect(socketAddress(address, port), `${address} port ${port}`);
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
  if (!await socket.writable(timeoutMs)) return "timed out";
  const error = socket.takeError();
  return error === 0 ? "connected" : ERRNO_NAMES[error]?.[0] ?? `errno ${error}`;
}
