/**
 * The reference's own suites judge our plugins. `./dev upstream` calls it.
 *
 * Usage: main.ts PROGRAM REFERENCE [SUITE…]
 */
import { EXCEPTIONS, faultsOf } from "./exceptions.ts";
import { judges, type Verdict, verdictOf } from "./judge.ts";
import { buildSuites } from "./reference.ts";
import { linkedPrograms, runSuite } from "./run.ts";
import { NEEDS_MACHINE, SUITES } from "./suites.ts";

const COLUMNS = ["specs", "judge", "passed", "excepted", "failed"];
const WIDTH = 10;
const OUTPUT = "dist/upstream";
const [program, fetched, ...wanted] = Deno.args;

const unknown = wanted.filter((suite) => !SUITES.includes(suite));
if (unknown.length > 0) {
  console.error(`no suite ${unknown.join(", ")}; there are ${SUITES.join(", ")}`);
  Deno.exit(2);
}
const faults = faultsOf(EXCEPTIONS, await Deno.readTextFile("docs/plugins.md"));
for (const fault of faults) console.log(fault);

const reference = await buildSuites(fetched!);
await Deno.mkdir(OUTPUT, { recursive: true });
const output = await Deno.realPath(OUTPUT);
const ours = await linkedPrograms(`${output}/programs`, program!);
const suites = wanted.length > 0
  ? wanted
  : SUITES.filter((suite) => !NEEDS_MACHINE.includes(suite));
const verdicts: Verdict[] = [];
const waiting = [...suites];
const broken: string[] = [];
console.log(`${fetched!.split("/").at(-1)}, Linux ${Deno.osRelease()}`);
console.log("suite".padEnd(13) + COLUMNS.map((title) => title.padStart(WIDTH)).join(""));
await Promise.all([work(), work()]);
const counts = verdicts.map(countsOf);
print("all", ...COLUMNS.map((_, i) => counts.reduce((sum, of) => sum + of[i]!, 0)));

const failed = [
  ...verdicts.flatMap((verdict) => verdict.failed),
  ...verdicts.flatMap(({ suite, needless }) =>
    needless.map((name) => `${suite}: ${name}\n    passes, and is named as an exception`)
  ),
  ...broken,
];
for (const line of failed) console.log(`\n${line}`);
Deno.exit(failed.length + faults.length > 0 ? 1 : 0);

async function work(): Promise<void> {
  for (let suite = waiting.shift(); suite; suite = waiting.shift()) {
    try {
      const judging = await judges({ reference, suite });
      const report = await runSuite({ reference, suite, programs: ours, output });
      const verdict = verdictOf(suite, judging, report, EXCEPTIONS);
      verdicts.push(verdict);
      print(suite, ...countsOf(verdict));
    } catch (error) {
      broken.push(`${suite}: ${(error as Error).message}`);
    }
  }
}

function countsOf({ specs, judged, passed, excepted, failed }: Verdict): number[] {
  return [specs, judged, passed, excepted.length, failed.length];
}

function print(suite: string, ...counts: number[]): void {
  console.log(suite.padEnd(13) + counts.map((count) => `${count}`.padStart(WIDTH)).join(""));
}
