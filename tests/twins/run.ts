/** Runs cases with the reference and with ours, several at once, and judges each as a step of a test. */
import { assertEquals } from "@std/assert";
import type { Release, Twin } from "./case.ts";
import { differences } from "./compare.ts";
import type { Exception } from "./exceptions.ts";
import { factsOf, judged, judgedCrossed, saidOf, type Verdict } from "./judge.ts";
import type { Seen } from "./network.ts";

/** Only cases whose id has this text. */
const ONLY = Deno.env.get("TWINS_ONLY") ?? "";

export interface Run {
  cases: readonly Twin[];
  release: Release;
  /** How many cases are under way at once. */
  atOnce: number;
  /** Does the steps of a case in a new network. */
  steps: (twin: Twin, whose: "theirs" | "ours") => Promise<Seen[]>;
  /** Where one detaches what the other has attached: what differs besides. */
  crossed?: readonly Exception[];
}

export async function judgeAll(t: Deno.TestContext, run: Run): Promise<void> {
  const { release, atOnce, steps, crossed } = run;
  const cases = run.cases.filter(({ id }) => id.includes(ONLY));
  const outcomes = new Map<string, Promise<Verdict>>();
  const waiting = [...cases];
  const outcome = async (twin: Twin) => {
    const theirs = await steps(twin, "theirs");
    const found = differences(twin, theirs, await steps(twin, "ours"));
    return crossed === undefined
      ? judged(twin, found, release)
      : judgedCrossed(twin, found, release, crossed);
  };
  const work = async () => {
    for (let twin = waiting.shift(); twin; twin = waiting.shift()) {
      const verdict = outcome(twin);
      outcomes.set(twin.id, verdict);
      await verdict.catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  for (const { id } of cases) {
    await t.step(id, async () => assertEquals((await outcomes.get(id)!).wrong, []));
  }
  // With Debian's release, only a sample is run.
  if (ONLY !== "" || release === "debians") return;
  await t.step("every fact that is said to differ does so in some case", async () => {
    const verdicts = await Promise.all(outcomes.values());
    const occurred = new Set(verdicts.flatMap((verdict) => verdict.occurred));
    const said = crossed?.flatMap((one) => factsOf(one).map((fact) => `${one.sentence} ${fact}`)) ??
      saidOf(cases, release);
    assertEquals(said.filter((one) => !occurred.has(one)), []);
  });
}
