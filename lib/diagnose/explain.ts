/** From a question that failed to its cause: what the kernel told, then what stands at the place. */
import { type Finding, type Mechanism, problem } from "./finding.ts";
import type { Session } from "./observe/session.ts";
import type { RuleMet } from "./observe/trace.ts";
import { placeBetween, type Trail, trailOf, trailText } from "./place.ts";
import type { Answer, Question } from "./questions/question.ts";
import { placeReasons, translationReasons } from "./reasons/at_place.ts";
import { linkReasons } from "./reasons/on_the_way.ts";
import { queueReasons } from "./reasons/between.ts";
import { dropReasons } from "./reasons/drops.ts";
import { ruleReasons } from "./reasons/rules.ts";
import type { RuleTexts } from "./reasons/rule_text.ts";
import type { Scene } from "./scene.ts";

/** What is said when nothing explains a loss. */
export const UNEXPLAINED = "lost";

/** The findings of one question, its cause first. @returns at least one */
export async function explain(
  scene: Scene,
  question: Question,
  answer: Answer,
  token: number,
  session: Session,
  texts: RuleTexts,
): Promise<Finding[]> {
  const met = session.rules(token);
  const trail = await beyondPorts(trailOf(question.journey, session, token), scene, met, texts);
  const drops = session.drops(token);
  const evidence = [`asked: ${sentence(question)}; ${answer.detail}`, ...trailText(trail)];
  const found = await ruleReasons(scene, question, met, texts);
  if (found.length === 0) found.push(...await silencedReasons(scene, question, session, texts));
  if (found.length === 0) found.push(...linkReasons({ scene, question, trail }));
  if (found.length === 0) {
    found.push(...await dropReasons(scene, question, drops, session.grown, trail));
  }
  const one = { scene, question, answer, trail, session, token, met, texts };
  if (found.length === 0) found.push(...await translationReasons(one));
  if (found.length === 0) found.push(...await question.reasons?.(scene, answer) ?? []);
  const last = trail.seen[trail.last];
  if (
    found.length === 0 && question.topic === "dns" && trail.before?.way === "back" && last &&
    last.packet.source !== question.destination && trail.before.stop.place === "uplink"
  ) {
    found.push(problem(
      "dns_wrong_source",
      ["dns", "outside"],
      `the DNS server ${question.destination} answers from another address, ${last.packet.source}`,
      [`its answer was seen arriving on ${trail.before.stop.point.name} from ${last.packet.source}`],
      `let it answer from ${question.destination}: resolvers take no answer of another`,
    ));
  }
  if (found.length === 0) {
    found.push(...await placeReasons(one));
  }
  // ARP has no ports to be known by: it is seen nowhere, and lost anywhere on the way.
  if (found.length === 0 && trail.seen.length === 0) {
    found.push(...queueReasons(session, question.journey.legs.map(({ stop }) => stop)));
  }
  if (found.length === 0) {
    const told = drops.map(({ reason, device, location }) =>
      `the kernel dropped it on ${device}: ${reason}${location ? ` in ${location}` : ""}`
    );
    const blind = session.blind.slice(0, 3).map((one) => `not observed: ${one}`);
    return [unexplained(scene, question, answer, trail, [...told, ...blind])];
  }
  return found.slice(0, 2).map((one) => ({ ...one, evidence: [...one.evidence, ...evidence] }));
}

/** A source that is translated to a port of chance (`--random`, `--random-fully`, `fully-random`). */
const RANDOM_PORT = /-j (MASQUERADE|SNAT) .*--random|\b(masquerade|snat)\b.*\brandom\b/;

/**
 * Behind a rule that gives it another port, a packet is not recognised any more. Nothing comes after
 * that rule but the link itself, so there it has left.
 */
async function beyondPorts(
  trail: Trail,
  scene: Scene,
  met: readonly RuleMet[],
  texts: RuleTexts,
): Promise<Trail> {
  const { after, before, journey } = trail;
  if (after?.way !== "there" || after.direction !== "out" || after.stop.place !== "uplink") {
    return trail;
  }
  if (before?.way !== "there") return trail;
  const last = trail.seen[trail.last];
  for (const one of met.filter(({ kind, netns }) => kind === "rule" && netns === undefined)) {
    if (!last || !RANDOM_PORT.test((await texts.of(one)).text)) continue;
    const isV6 = last.packet.source.includes(":");
    const source = scene.uplink(isV6 ? 6 : 4)?.agentAddress ?? last.packet.source;
    const at = trail.last + 1;
    const seen = trail.seen.with(at, {
      ...last,
      at: after.stop.point.name,
      direction: "out",
      packet: { ...last.packet, source },
      to: undefined,
    });
    const next = journey.legs[at + 1];
    return {
      journey,
      seen,
      last: at,
      inferred: { leg: at, why: "a rule gives it a port of chance, by which it is not recognised" },
      before: after,
      after: next,
      place: placeBetween(journey, after, next),
    };
  }
  return trail;
}

/** What is known of a loss when nothing explains it, or there was no time to. */
export function unexplained(
  scene: Scene,
  question: Question,
  answer: Answer,
  trail: Trail,
  told: string[] = [],
): Finding {
  return problem(
    UNEXPLAINED,
    [mechanismAt(trail.place, question), trail.place],
    `${scene.name} fails: ${sentence(question)}, and ${trailText(trail).at(-1)}`,
    [...told, `asked: ${sentence(question)}; ${answer.detail}`, ...trailText(trail)],
    "nothing that was read explains it: look at what is between the last hop where it was seen and the next",
  );
}

/** A hop says that the packet is too large for it, and a rule keeps its word away. */
async function silencedReasons(
  scene: Scene,
  question: Question,
  session: Session,
  texts: RuleTexts,
): Promise<Finding[]> {
  if (question.sizes !== true) return [];
  const met = session.rulesOfErrors().filter(({ packet }) =>
    packet!.source.includes(":") === (question.family === 6)
  );
  return await ruleReasons(scene, question, met, texts);
}

function mechanismAt(place: Finding["place"], { topic }: Question): Mechanism {
  if (topic === "dns") return "dns";
  return place === "host-veth" || place === "bridge"
    ? "bridge-port"
    : place === "container"
    ? "link"
    : place === "agent"
    ? "route"
    : "neighbour";
}

/** A question's text has the container as its subject, or a port of it. */
function sentence({ text }: Question): string {
  return text.startsWith("port ") ? text : `it ${text}`;
}
