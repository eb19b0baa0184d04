/** A question that has failed, with all that was seen of it: what readers go by. */
import type { Scene } from "../facts/scene.ts";
import type { Drop } from "./observe/drops.ts";
import type { Kernel } from "./observe/kernel.ts";
import type { KnownRules } from "./observe/rules.ts";
import type { Session } from "./observe/session.ts";
import type { Sighting } from "./observe/tap.ts";
import type { RuleMet } from "./observe/trace.ts";
import { trailOf } from "./place.ts";
import type { Answer, Question } from "./questions/question.ts";

export type Evidence = ReturnType<typeof evidenceOf>;

export function evidenceOf(
  scene: Scene,
  question: Question,
  { failure, share }: Answer,
  token: number,
  session: Session,
  rules: KnownRules,
  kernel: Kernel,
) {
  const all = session.of(token);
  const sightings: readonly Sighting[] = failure!.kind === "stuck" ? ofPayload(all, question) : all;
  return {
    scene,
    question,
    failure: failure!,
    /** How many of its tries were lost, where others were answered. */
    share,
    /** Of the try that was lost. */
    token,
    /** Where its packet was seen, and on which side of which hop it was lost. */
    trail: trailOf(question.journey, sightings, token),
    /** The packet wherever it was seen, and errors that quote it. */
    sightings,
    /** The same by now, since explaining takes its time. */
    seenByNow: (): readonly Sighting[] => session.of(token),
    /** ARP and neighbour discovery about an address. */
    about: (address: string): readonly Sighting[] => session.about(address),
    /** The rules that it met, in their order; those that ARP about an address met; those of errors. */
    rules: session.rules(token) as readonly RuleMet[],
    rulesAbout: (address: string): readonly RuleMet[] => session.rulesAbout(address),
    rulesOfErrors: session.rulesOfErrors() as readonly RuleMet[],
    /** What a rule that was met does to a packet: cheap, since no program is asked for its text. */
    actsOf: (met: RuleMet) => rules.actsOf(met),
    /** The rule, as its own program has it. */
    ruleOf: (met: RuleMet) => rules.of(met),
    /** What the kernel says of the packet's end. */
    drops: session.drops(token) as readonly Drop[],
    /** Counters of drops that grew meanwhile. */
    grown: session.grown,
    /** What could not be observed, and why. */
    blind: session.blind as readonly string[],
    /** What else the kernel is asked. */
    kernel,
  };
}

/** A packet without a payload is no longer. */
const BARE = 100;

/** Of a connection that was made, what carries the request, and what acknowledges that. */
function ofPayload(all: readonly Sighting[], { journey }: Question): Sighting[] {
  const first = all.find(({ length, packet }) => packet.protocol === "tcp" && length > BARE);
  const ofIt = all.filter(({ length, packet }) =>
    packet.protocol !== "tcp" || length > BARE ||
    first && packet.destinationPort === first.packet.sourcePort &&
      (packet.acknowledge - first.packet.sequence | 0) > 0
  );
  // What one link sees as one packet another cuts into segments (GSO), as large as the first link takes.
  const most = journey.legs[0]?.stop.link.mtu ?? BARE;
  return ofIt.map((one) => ({ ...one, length: Math.min(one.length, most) }));
}
