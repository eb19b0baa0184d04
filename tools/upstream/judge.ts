/** What a suite says of our programs, measured by what it says of two controls. */
import type { Exception } from "./exceptions.ts";
import { HERE } from "./place.ts";
import { judgesOf, type Report } from "./report.ts";
import { type Run, runSuite } from "./run.ts";

export type Verdict = ReturnType<typeof verdictOf>;

/**
 * The specs of a suite that judge on the place's kernel, found out once.  *
 * @throws if none does
 */
export async function judges(run: Omit<Run, "programs" | "output">): Promise<string[]> {
  const { reference, suite, focus, place = HERE } = run;
  const directory = `${reference.directory}/controls-${place.kernel}`;
  const kept = `${directory}/${suite}${focus === undefined ? "" : `-${slug(focus)}`}.json`;
  try {
    return JSON.parse(await Deno.readTextFile(kept));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const control = (name: string, programs: string) =>
    runSuite({ ...run, programs, output: `${directory}/${name}` });
  // What a busy machine made fail passes the next time.
  const theirs: Report = new Map();
  for (let before = -1; before < passing(theirs);) {
    before = passing(theirs);
    for (const [name, outcome] of await control("reference", reference.programs)) {
      if (!theirs.get(name)?.passed) theirs.set(name, outcome);
    }
    if (passing(theirs) === theirs.size) break;
  }
  const found = judgesOf(theirs, await control("failing", reference.failing));
  if (found.length === 0) throw new Error(`no spec of ${suite} judges on ${place.kernel}`);
  await Deno.writeTextFile(`${kept}.new`, JSON.stringify(found, null, 1));
  await Deno.rename(`${kept}.new`, kept);
  return found;
}

const passing = (report: Report) => [...report.values()].filter(({ passed }) => passed).length;
const slug = (focus: string) => focus.replaceAll(/\W+/g, "-");

export function verdictOf(
  suite: string,
  judging: readonly string[],
  ours: Report,
  exceptions: readonly Exception[],
) {
  const excused = new Set(exceptions.filter((one) => one.suite === suite).flatMap((e) => e.specs));
  const failed = judging.filter((name) => !ours.get(name)?.passed);
  return {
    suite,
    /** All specs that ran. */
    specs: ours.size,
    /** Those that the reference's programs pass and that programs which always fail don't. */
    judged: judging.length,
    passed: judging.length - failed.length,
    /** Exceptions that failed, as they may. */
    excepted: failed.filter((name) => excused.has(name)),
    /** Specs that failed and are no exceptions, with why. */
    failed: failed.filter((name) => !excused.has(name))
      .map((name) =>
        `${suite}: ${name}\n    ${ours.get(name)?.why.slice(0, 600) ?? "did not run"}`
      ),
    /** Exceptions that passed: they are none. */
    needless: judging.filter((name) => excused.has(name) && ours.get(name)?.passed),
  };
}
