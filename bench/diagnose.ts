/** How often `netns diagnose` names the right cause first, and how long it takes. */
import { type Fault, isRight, readSetups, runSetups } from "../tests/harness/catalogue.ts";
import { Clinic } from "../tests/harness/clinic.ts";
import { median, row } from "./timing.ts";

const HEALTHY_RUNS = 100;

export async function run(): Promise<void> {
  console.log(row("fault", "named first", "right", "ms"));
  console.log(row("---", "---", "---", "---"));
  const outcomes = (await runSetups(await readSetups<Fault>("faults")))
    .filter(({ impossible }) => impossible === undefined);
  for (const outcome of outcomes) {
    const { setup, findings, ms } = outcome;
    const wanted = `${[setup.mechanism].flat()} at ${[setup.place].flat()}`;
    const named = findings[0] ? `\`${findings[0].cause}\`` : "-";
    console.log(row(setup.name, named, isRight(outcome) ? "yes" : `no: ${wanted}`, ms.toFixed(0)));
  }
  const right = outcomes.filter(isRight).length;

  await using clinic = await Clinic.open();
  const times: number[] = [];
  let healthy = 0;
  for (let run = 0; run < HEALTHY_RUNS; run++) {
    const start = performance.now();
    const { code } = await clinic.netns("diagnose", "patient");
    times.push(performance.now() - start);
    if (code === 0) healthy++;
  }
  console.log(`\n${right} of ${outcomes.length} causes right (at least 95 of 100 wanted)`);
  console.log(`healthy in ${healthy} of ${HEALTHY_RUNS} runs, ${median(times).toFixed(0)} ms each`);
}
