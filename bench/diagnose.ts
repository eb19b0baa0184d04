/**
 * How often `netns diagnose` names the right cause first, whether a remedy mends what it is for, how
 * often a healthy container alarms, and how long it takes.
 *
 * `./dev bench diagnose [LIST…] [--part=K/N] [--only=WORD] [--out=FILE]`: the catalogue, or lists of
 * it; of each the K-th of N parts, or what has one of WORD,WORD in its name; FILE gets a line of JSON for each.
 */
import {
  type Fault,
  isRight,
  type Outcome,
  readSetups,
  runSetups,
} from "../tests/harness/catalogue.ts";
import { Clinic } from "../tests/harness/clinic.ts";
import { median, row } from "./timing.ts";

/** Faults by us and by an author who had not read the probes; then set-ups with none. */
const LISTS = ["faults", "outside", "healthy", "outside_healthy"];
const HEALTHY_RUNS = 100;

export async function run(args: string[]): Promise<void> {
  const option = (name: string) =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const named = args.filter((arg) => !arg.startsWith("--"));
  const [part, parts] = (option("part") ?? "0/1").split("/").map(Number) as [number, number];
  const only = (option("only") ?? "").split(",");
  const file = option("out");
  if (file) await Deno.writeTextFile(file, "");
  const sums: string[] = [];
  for (const list of named.length > 0 ? named : LISTS) {
    const setups = (await readSetups<Fault>(list)).filter((_, i) => i % parts === part % parts)
      .filter(({ name }) => only.some((word) => name.includes(word)));
    console.log(`\n### ${list}\n`);
    console.log(row("set-up", "named first", "right", "ms"));
    console.log(row("---", "---", "---", "---"));
    const outcomes = await runSetups(setups, {
      mend: true,
      each: (outcome) => {
        // Of hundreds, the report keeps those that are worth a look.
        if (args.length > 0 || !isWell(outcome) || outcome.mended === false) {
          console.log(report(outcome));
        }
        const line = JSON.stringify({ list, right: isWell(outcome), ...outcome });
        if (file) Deno.writeTextFileSync(file, `${line}\n`, { append: true });
      },
    });
    const made = outcomes.filter(({ impossible }) => impossible === undefined);
    sums.push(`- ${list}: ${summary(made)}`);
  }
  console.log(`\n${sums.join("\n")}`);
  if (args.length === 0) await repeat();
}

const isFault = (setup: Fault) => setup.mechanism !== undefined;

function isWell(outcome: Outcome<Fault>): boolean {
  return isFault(outcome.setup) ? isRight(outcome) : outcome.code === 0;
}

function report(outcome: Outcome<Fault>): string {
  const { setup, findings: [first], ms, impossible, mended } = outcome;
  if (impossible !== undefined) {
    return row(setup.name, "-", `can't be made here: ${impossible.trim()}`, "-");
  }
  const wanted = isFault(setup)
    ? `no: ${[setup.mechanism].flat()} at ${[setup.place].flat()}`
    : "no: healthy";
  const right = isWell(outcome) ? "yes" : wanted;
  const remedy = mended === false ? "; its remedy mended nothing" : "";
  const cause = first ? `\`${first.code}\` (${first.mechanism} at ${first.place})` : "-";
  return row(setup.name, cause, right + remedy, ms.toFixed(0));
}

function summary(outcomes: readonly Outcome<Fault>[]): string {
  const well = outcomes.filter(isWell).length;
  const tried = outcomes.filter(({ mended }) => mended !== undefined);
  const parts = [`${well} of ${outcomes.length} right`];
  if (outcomes.some(({ setup }) => isFault(setup))) {
    const blind = outcomes.filter(({ code }) => code === 0).length;
    const mended = tried.filter(({ mended }) => mended).length;
    parts.push(`${blind} called healthy`, `${mended} of ${tried.length} remedies mended it`);
  }
  const times = outcomes.map(({ ms }) => ms);
  if (times.length > 0) {
    parts.push(
      `median ${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms`,
    );
  }
  return parts.join(", ");
}

async function repeat(): Promise<void> {
  await using clinic = await Clinic.open();
  const times: number[] = [];
  let healthy = 0;
  for (let run = 0; run < HEALTHY_RUNS; run++) {
    const start = performance.now();
    const { code } = await clinic.netns("diagnose", "patient");
    times.push(performance.now() - start);
    if (code === 0) healthy++;
  }
  console.log(
    `\nhealthy in ${healthy} of ${HEALTHY_RUNS} runs, ${median(times).toFixed(0)} ms each`,
  );
}
