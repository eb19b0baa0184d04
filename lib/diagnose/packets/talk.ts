/** A connection that is more than a handshake: who listens may speak first, and is sent a request. */
import { SOCK_STREAM } from "../../kernel/socket.ts";
import { errno, unless } from "../../base/unless.ts";
import { connected, connectedTo, type Probe } from "./connect.ts";

/** Who speaks first has done so by then. */
const FIRST_WORD_MS = 60;
const PADDING = "x".repeat(1000);
/** A request for HTTP that no segment holds whole: what is lost of a stream shows by it. */
export const REQUEST = new TextEncoder().encode(
  "GET / HTTP/1.1\r\nHost: mesos-cni\r\nUser-Agent: mesos-cni-diagnose\r\nConnection: close\r\n" +
    [1, 2, 3].map((n) => `X-Padding-${n}: ${PADDING}\r\n`).join("") + "\r\n",
);

export interface TalkOptions {
  /** How long a connection, and an answer, are waited for. */
  connectMs: number;
  answerMs: number;
  /** Whether a request may be sent. */
  payload: boolean;
}

/**
 * `answered` if anything came; `silent` if what was sent has arrived; `closed` or `reset` before anything was
 * said; `hung up` on the request; `stuck` if it does not arrive; `timed out`; or errno's name.
 *
 * @param look asked before a silent connection is closed; what it says is the outcome, if anything
 */
export async function talk(
  probe: Probe,
  { connectMs, answerMs, payload }: TalkOptions,
  look: () => string | undefined,
): Promise<string> {
  const outcome = await connected(probe, SOCK_STREAM, async (socket) => {
    if (!await connectedTo(socket, connectMs)) return "timed out";
    const hear = () => socket.receive(new Uint8Array(1500), `hear from ${probe.address}`) ?? 0;
    if (await socket.readable(FIRST_WORD_MS)) return hear() > 0 ? "answered" : "closed";
    if (!payload) return "connected";
    socket.send(REQUEST, `ask ${probe.address}`);
    if (await socket.readable(answerMs)) {
      // On a request a reset is an end as any other.
      return (unless(errno("ECONNRESET"), hear) ?? 0) > 0 ? "answered" : "hung up";
    }
    return socket.unacknowledged > 0 ? "stuck" : look() ?? "silent";
  });
  // Before there is a connection a reset is ECONNREFUSED; and who is told of it by a send is so by EPIPE.
  return outcome === "ECONNRESET" || outcome === "EPIPE" ? "reset" : outcome;
}
