/** What differs between two runs of a case: names and numbers that are made up do not count. */
import type { Twin } from "./case.ts";
import { type Fact, factsOf } from "./facts.ts";
import type { Seen } from "./network.ts";

const RANDOM = /\bveth[0-9a-f]{8}\b|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\bfe80::[0-9a-f:]{4,}/g;

/** A fact that only one of the two has. */
export interface Difference {
  step: number;
  /** Whether it is the reference that has it. */
  theirs: boolean;
  fact: string;
}

export const show = ({ step, theirs, fact }: Difference): string =>
  `step ${step}: ${theirs ? "-" : "+"} ${fact}`;

/** The facts that differ. What one of them lacks as a whole is one difference, and not each of its fields. */
export function differences(
  twin: Twin,
  reference: readonly Seen[],
  ours: readonly Seen[],
): Difference[] {
  const own = JSON.stringify(twin.steps);
  return reference.flatMap((one, step) => {
    const [a, b] = [named(factsOf(one), own), named(factsOf(ours[step]!), own)];
    const [onlyA, onlyB] = [minus(a, b), minus(b, a)];
    return [
      ...shortened(onlyA).map((fact) => ({ step, theirs: true, fact })),
      ...shortened(onlyB).map((fact) => ({ step, theirs: false, fact })),
    ];
  });
}

/** With one word for every made-up name: enough to see one too many or too few. */
function named(facts: readonly Fact[], own: string): Fact[] {
  const name = (text: string) =>
    text.replaceAll(RANDOM, (made) => own.includes(made) ? made : "RANDOM");
  return facts.map(({ owner, text }) => ({ owner: name(owner), text: name(text) }))
    // The kernel makes IPv6 addresses of a link, and their routes, in its own time.
    .filter(({ text }) => !/ route .*\bdst=RANDOM/.test(text));
}

function minus(facts: readonly Fact[], others: readonly Fact[]): Fact[] {
  const rest = Map.groupBy(others, ({ text }) => text);
  return facts.filter(({ text }) => rest.get(text)?.pop() === undefined);
}

function shortened(facts: readonly Fact[]): string[] {
  const missing = new Set(
    facts.filter(({ owner, text }) => owner === text).map(({ owner }) => owner),
  );
  return facts.filter(({ owner, text }) => owner === text || !missing.has(owner))
    .map(({ text }) => text).sort();
}
