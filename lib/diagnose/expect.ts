/**
 * The other end of a packet that is followed from another agent: waits for it, and sees at which hop
 * of this one it came.
 */
import type { Agent } from "../facts/agent.ts";
import { Scene } from "../facts/scene.ts";
import { OperatorError } from "../base/error.ts";
import { familyOfKnown } from "../base/ip.ts";
import { leadingTo } from "./client.ts";
import { endpoint, resolveOwn } from "./destination.ts";
import { type FollowedPacket, watch } from "./follow.ts";
import { fromOutside, isAt, type Journey } from "./journey.ts";
import type { Session } from "./observe/session.ts";
import { RST } from "./packets/frame.ts";
import { type Answer, answered, failed, type Question, unasked } from "./questions/question.ts";

const INTERVAL_MS = 100;
/** From its first sighting to what becomes of it. */
const ANSWER_MS = 1500;

/**
 * Waits for the packet of a `diagnose --from --to` of another agent.
 *
 * @param to as that one said it @param token the port, or the echo's identifier, that it comes from
 * @throws {OperatorError} `bad_destination`
 */
export async function expect(
  agent: Agent,
  to: string,
  token: number,
  waitMs: number,
): Promise<FollowedPacket> {
  const own = resolveOwn(agent, to);
  const { address } = own;
  using scene = Scene.of(agent, own.target);
  const family = familyOfKnown(address);
  const uplink = scene.uplink(family);
  if (!uplink) {
    throw new OperatorError(
      "bad_destination",
      `this agent has no way for IPv${family} by which it could come`,
    );
  }
  const { ends, uplink: _, ...asked } = leadingTo(scene, own, uplink);
  const path = fromOutside(ends, uplink.link);
  const question: Question = {
    ...asked,
    text: `${asked.text} from another agent`,
    journey: path,
    neighbours: [asked.realDestination, uplink.somewhere],
    isAskedOnce: true,
    ask: (_, session) => heard(session, path, token, waitMs),
  };
  const from = `port ${token} of another agent`;
  return { from, to: endpoint(own.at), ...await watch(scene, question, token) };
}

async function heard(
  session: Session,
  path: Journey,
  token: number,
  waitMs: number,
): Promise<Answer> {
  const passed = (i: number, way: "there" | "back") => {
    const leg = path.legs.filter((one) => one.way === way).at(i)!;
    return session.of(token).find((one) => isAt(leg, one, token));
  };
  const pause = () => new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  const end = performance.now() + waitMs;
  while (session.of(token).length === 0) {
    if (performance.now() > end) {
      return unasked(
        `no packet came from port ${token} in ${Math.round(waitMs / 1000)} s: ` +
          "it is lost before this agent, or was not sent meanwhile",
      );
    }
    await pause();
  }
  const last = performance.now() + ANSWER_MS;
  // Each link is read on its own: what was seen later may be known earlier.
  const isOver = () => passed(-1, "there") && passed(0, "back") && passed(-1, "back");
  while (!isOver() && performance.now() < last) await pause();
  const reply = passed(0, "back");
  if (!passed(-1, "there")) return failed({ kind: "not_arrived" });
  if (!reply) return failed({ kind: "no_answer" });
  if (reply.packet.protocol === "tcp" && reply.packet.flags & RST) {
    return failed({ kind: "refused" });
  }
  return passed(-1, "back")
    ? answered("it came, and its answer left this agent")
    : failed({ kind: "answer_lost" });
}
