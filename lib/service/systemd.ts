/** What systemd tells a service, and what it wants to hear (sd_listen_fds(3), sd_notify(3)). */
import { variable } from "../base/environment.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { sendDatagram } from "../kernel/unix_socket.ts";
import { log } from "../base/log.ts";

const FIRST_DESCRIPTOR = 3;

/**
 * The descriptor of the socket that systemd has opened for this program; undefined without one.
 *
 * @throws {OperatorError} `bad_socket` for more than one
 */
export function passedSocket(): number | undefined {
  const [pid, count] = ["LISTEN_PID", "LISTEN_FDS"].map((name) => variable(name));
  // They may be meant for somebody who started us.
  if (count === undefined || Number(pid) !== Deno.pid) return undefined;
  if (count !== "1") {
    throw new OperatorError(
      "bad_socket",
      `systemd passed ${count} sockets: the socket unit must have a single ListenStream=`,
    );
  }
  return FIRST_DESCRIPTOR;
}

/** Tells systemd of a change, such as `READY=1`; without systemd it does nothing. */
export function notify(state: string): void {
  const path = variable("NOTIFY_SOCKET");
  if (!path) return;
  try {
    sendDatagram(path, state);
  } catch (error) {
    log.warning("systemd can't be told", { state, error: messageOf(error) });
  }
}
