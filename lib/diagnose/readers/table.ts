/**
 * Why a question failed: readers in one order, of which the first that finds something is right.
 *
 * First the rule that the kernel says dropped the packet, then a link on the way that is down,
 * then what was counted and what the kernel itself says of the drop. Where neither tells, it is what
 * came back (a refusal, an answer of DNS), and then what stands between the last hop that saw the
 * packet and the first that did not, nearest first. What nothing explains is said by name.
 */
import { type Cause, cause, isProblem, type Mechanism, type Place } from "../../facts/cause.ts";
import type { Evidence } from "../evidence.ts";
import type { Question } from "../questions/question.ts";
import { shareText } from "../failure.ts";
import { legText } from "../journey.ts";
import { trailAt, trailOf, trailText } from "../place.ts";
import { silentHop, strayAnswer } from "../paths.ts";
import * as firewall from "./agent_firewall.ts";
import { agentRoutes, agentsOwnRoutes } from "./agent_routing.ts";
import { bridgeInBetween } from "./bridge.ts";
import * as changing from "./changing_rule.ts";
import { deviceBelow, ownRoutes, strangeSource } from "./container.ts";
import { isContradicted } from "./contradiction.ts";
import { ipsec, portsUsedUp } from "./counted.ts";
import { dnsAnswer, strangeAnswer } from "./dns.ts";
import { otherGateway, wrongHardware } from "./hardware.ts";
import { kernelReason } from "./kernel_drop.ts";
import * as listening from "./listener.ts";
import { receiver, unansweredNeighbour } from "./neighbour.ts";
import type { Reader } from "./reader.ts";
import { hopsAnswer, othersAnswer, outside } from "./uplink.ts";
import { hooks, linkOnTheWay, narrowLink, nextLink, queueAnywhere } from "./wire.ts";

export const READERS: readonly Reader[] = [
  // It was answered, and is not as it should be.
  ...[strayAnswer, changing.hiddenClient],
  // The rule that the kernel says dropped it.
  ...[firewall.droppingRule, firewall.takingRule, firewall.silencingRule],
  // Nothing passes a link that is down, whatever else there is.
  ...[linkOnTheWay, narrowLink, nextLink],
  // What the kernel counted and says.
  ...[firewall.countingRule, kernelReason, ipsec, portsUsedUp, changing.translation],
  // What came back.
  ...[listening.deafListener, listening.ephemeralPorts, changing.ownTranslation],
  ...[listening.excludedDevice, changing.agingRule, hopsAnswer, listening.listener],
  ...[otherGateway, dnsAnswer, strangeAnswer, othersAnswer],
  // The place between the last hop that saw it and the first that did not.
  ...[deviceBelow, strangeSource, changing.rewritingRule, changing.bridgeNat, wrongHardware],
  ...[changing.wrongSourceOfPort, changing.untracked, listening.untranslatedPort],
  ...[unansweredNeighbour, ownRoutes, agentsOwnRoutes, bridgeInBetween, hooks, agentRoutes],
  ...[silentHop, outside, receiver, queueAnywhere],
];

/** Of one question, what is shown. */
const MOST = 2;

/** The causes of one question that failed, the right one first. @returns none for an answer that came too late */
export async function explain(evidence: Evidence): Promise<Cause[]> {
  const e = await changing.beyondRandomPort(evidence);
  const seen = [
    `asked: ${sentence(e.question)}`,
    ...e.share ? [shareText(e.share)] : [],
    trailText(e.trail),
  ];
  for (const read of READERS) {
    const found = (await read(e)).filter((one) => isProblem(one) && !isContradicted(one, e));
    if (found.length > 0) {
      // It has come while its loss was explained: whoever sent it was slow.
      const now = () => ({ ...e, trail: trailOf(e.question.journey, e.seenByNow(), e.token) });
      if (e.trail.after && isLate(now())) return late(now());
      return found.slice(0, MOST).map((one) => ({ ...one, seen: [...one.seen, ...seen] }));
    }
  }
  if (isLate(e)) return late(e);
  const lost = notJudged(
    e,
    e.failure.kind === "stuck" ? "payload_lost" : e.share ? "packets_lost" : "lost",
  );
  return [lost.code === "lost" ? lost : { ...lost, seen: [...seen, ...lost.seen] }];
}

/** It has come, and nothing has dropped its answer: that came after it was waited for, or all is meant so. */
function isLate({ failure, question, trail: { before, after }, drops }: Evidence): boolean {
  // That nobody listens is an answer of a neighbour's, which a flood may have hidden when it came.
  const isAnswer = failure.kind === "silence" ||
    question.topic === "neighbour" && failure.kind === "errno" && failure.errno === "ECONNREFUSED";
  // Who has hung up by then resets what comes, and of that the kernel says where it ends.
  return failure.kind === "hidden" || isAnswer && before !== undefined && after === undefined &&
      drops.every(({ reason }) => reason === "TCP_RESET");
}

/** TCP sends its SYN again after so long (RFC 6298). */
const SLOW_MS = 1000;

/**
 * Of an answer that came late, between which hops it, or the question, was for so long. Echoes and handshakes are the
 * kernel's to answer; of datagrams a server may think as long as it likes.
 */
function late({ scene, question, trail: { journey, seen } }: Evidence): Cause[] {
  const waits = seen.slice(1).map((one, i) => (one?.ms ?? 0) - (seen[i]?.ms ?? Infinity));
  const ms = Math.max(...waits);
  if (!(ms >= SLOW_MS) || question.protocol === "udp") return [];
  const last = waits.indexOf(ms);
  const { before, after, place } = trailAt(
    journey,
    seen.map((one, i) => i > last ? undefined : one),
  );
  const [device, other] = [before, after].map((leg) => leg!.stop.name);
  return [cause("answer_late", ["route", place], {
    container: journey.from === "agent" ? undefined : scene.name,
    address: question.destination,
    value: `${(ms / 1000).toFixed(1)} s`,
    device,
    other: device === other ? "what is behind it" : other,
  }, [
    `asked: ${sentence(question)}`,
    `${legText(before!)}, and ${Math.round(ms)} ms later ${legText(after!)}`,
  ])];
}

/** What is known of a loss when nothing explains it, or there was no time to: which packets, and where. */
export function notJudged(
  { scene, question, trail, share, drops, blind }: Evidence,
  code: "lost" | "no_time" | "packets_lost" | "payload_lost",
): Cause {
  const { before, after, place } = trail;
  const [device, other] = [before, after].map((leg) => leg?.stop.name ?? "its end");
  return cause(code, [question.topic === "dns" ? "dns" : BY_PLACE[place], place], {
    container: scene.name,
    address: question.destination,
    device,
    other: device === other ? "what is behind it" : other,
    value: share ? shareText(share) : sentence(question),
    why: code === "packets_lost" && place === "outside" ? "beyond" : trailText(trail),
  }, [
    ...drops.map(({ reason, device, location }) => ({ drop: reason, device, location })),
    ...blind.slice(0, 3).map((one) => `not observed: ${one}`),
  ]);
}

const BY_PLACE: Readonly<Record<Place, Mechanism>> = {
  container: "link",
  "host-veth": "bridge-port",
  bridge: "bridge-port",
  agent: "route",
  uplink: "neighbour",
  neighbour: "neighbour",
  outside: "neighbour",
};

/** A question's text has the container as its subject, or a port of it. */
export function sentence({ text, topic }: Pick<Question, "text" | "topic">): string {
  return topic === "port" ? text : `it ${text}`;
}
