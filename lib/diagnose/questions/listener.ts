/** A question by a connection to somebody whose sockets can be looked at. */
import { processText } from "../../containers/process_state.ts";
import { socketOwner } from "../../containers/processes.ts";
import { type Cause, hint } from "../../facts/cause.ts";
import type { Session } from "../observe/session.ts";
import type { Journey } from "../journey.ts";
import type { Sighting } from "../observe/tap.ts";
import { FIN, RST } from "../packets/frame.ts";
import { type Probe, talk, tryConnect } from "../packets/connect.ts";
import { isFull, listeners } from "../../netlink/sock_diag.ts";
import { type SocketEntry, sockets } from "../../netlink/sockets.ts";
import { NamespaceView, type Space } from "../../netlink/view.ts";
import { TRIES } from "../tokens.ts";
import { type Answer, answered, failed, failedBy, unasked } from "./question.ts";

/** Who listens has taken and read a request by then; and if it is slow, when it is asked again. */
const ANSWER_MS = 400;
export const SLOW_ANSWER_MS = 3000;

/** Whether a request may be sent to who listens on a port. */
export type MayTalkTo = (port: number) => boolean;

export interface Listening {
  /** Where it listens, and on which port; absent for another machine's. */
  at?: { space: Space; port: number };
  /** The way to it. */
  journey: Journey;
  /** Whether a request may be sent to it. */
  payload: boolean;
}

/** The last of the tries comes from a port that the kernel gives out, as the task's own do. */
export const EPHEMERAL = TRIES - 1;

/** Connects; and asks, where that is harmless. What is not read was not taken. */
export async function askListener(
  probe: Probe & { token: number },
  { at, journey, payload: mayAsk }: Listening,
  session: Session,
  nth: number,
): Promise<Answer> {
  if (nth === EPHEMERAL) {
    const outcome = await tryConnect({ ...probe, token: undefined });
    if (outcome === "connected") return answered("it takes the connection");
    // A refusal is an answer as well, of which the other tries tell more.
    return outcome === "timed out" || outcome === "EADDRNOTAVAIL"
      ? failed({ kind: "ephemeral", outcome })
      : unasked(outcome);
  }
  const answerMs = session.deep ? SLOW_ANSWER_MS : ANSWER_MS;
  const outcome = await talk(
    probe,
    mayAsk && nth === 0 ? answerMs : undefined,
    () => at && leftBy(at.space, at.port, probe.token),
  );
  // Whoever does not speak HTTP may end it; a rule that does leaves no reset of the listener's.
  const isReset = outcome === "reset";
  const isOthers = (isReset || outcome === "hung up" || outcome === "cut off") &&
    at !== undefined &&
    (journey.legs.length > 0 && !session.at(journey, probe.token, "back", 0).some(isEnd) ||
      // Of a full backlog the kernel says so itself (tcp_abort_on_overflow).
      isReset && listeners("tcp", at.port, at.space.netns).some(isFull));
  if (isOthers) return failed({ kind: "errno", errno: "ECONNRESET" });
  const taken = TAKEN[outcome];
  if (taken !== undefined) {
    const hints = at ? isReset ? [resetting(at, probe.address)] : [] : beyond(probe, outcome);
    return { ...answered(taken), hints };
  }
  return outcome === "stuck" || outcome === "unaccepted" || outcome === "unread"
    ? failed({ kind: outcome })
    : failedBy(outcome);
}

/** What came of a connection that was made. */
const TAKEN: Readonly<Record<string, string>> = {
  connected: "it takes the connection",
  answered: "it takes the connection, and answers",
  silent: "it takes the connection and what is sent, and says nothing to HTTP",
  reset: "it takes the connection, and resets it before anything is said",
  closed: "it takes the connection, and ends it before anything is said",
  "hung up": "it takes the connection, and ends it when HTTP is spoken",
  "cut off": "it takes the connection, and resets it when HTTP is spoken",
};

/** Of another machine's listener nothing tells whether it means to say nothing. */
function beyond({ address, port: number }: Probe, outcome: string): Cause[] {
  const about = { address, port: `${number}/tcp` };
  const seen = [TAKEN[outcome]!];
  return outcome === "silent"
    ? [hint("listener_silent", ["listener", "outside"], about, seen)]
    : outcome === "cut off"
    ? [hint("listener_resets", ["listener", "outside"], { ...about, why: "HTTP" }, seen)]
    : [];
}

/** Between one look at sockets and the next. */
const LOOK_MS = 30;

/**
 * Sockets at which something waits, connections or datagrams, and that take none of it while they are looked at.
 * Of several that share a port (SO_REUSEPORT) each is looked at.
 */
export async function untaken(
  space: Space,
  isMeant: (socket: SocketEntry) => boolean,
  ms: number,
): Promise<SocketEntry[]> {
  if (!(space instanceof NamespaceView)) return [];
  const look = () =>
    sockets(space).filter((one) =>
      ["LISTEN", "UNCONN"].includes(one.state) && one.receiveQueue > 0 && isMeant(one)
    );
  const end = performance.now() + ms;
  let left = look();
  while (left.length > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = look();
    left = left.flatMap(({ inode, receiveQueue }) =>
      now.find((one) => one.inode === inode && one.receiveQueue >= receiveQueue) ?? []
    );
  }
  return left;
}

/** Whether who hears a port by UDP leaves what it is sent. */
export async function isUnread(space: Space, port: number, { deep }: Session): Promise<boolean> {
  const hears = (one: SocketEntry) => one.protocol === "udp" && one.localPort === port;
  return (await untaken(space, hears, deep ? SLOW_ANSWER_MS : ANSWER_MS)).length > 0;
}

/** An answer of the application's, which may be meant so. */
function resetting({ space: { netns }, port }: NonNullable<Listening["at"]>, address: string) {
  const [holder] = listeners("tcp", port, netns).flatMap(({ inode }) => socketOwner(inode) ?? []);
  const value = holder === undefined ? undefined : processText(holder.pid);
  const place = netns === undefined ? "agent" : "container";
  return hint("listener_resets", ["listener", place], { address, port: `${port}/tcp`, value }, [
    "the handshake was answered, and the reset was seen leaving who listens",
  ]);
}

function isEnd({ packet }: Sighting): boolean {
  return (packet.flags & (RST | FIN)) !== 0;
}

/** What a listener has not done with a connection; undefined if it has read all. */
function leftBy(space: Space, port: number, token: number): "unaccepted" | "unread" | undefined {
  if (!(space instanceof NamespaceView)) return undefined;
  const own = sockets(space).find((one) =>
    one.protocol === "tcp" && one.localPort === port && one.remotePort === token &&
    one.state !== "LISTEN"
  );
  // A connection has no inode before it is accepted.
  return own?.inode === 0 ? "unaccepted" : own && own.receiveQueue > 0 ? "unread" : undefined;
}
