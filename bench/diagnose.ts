/** How often `netns diagnose` names the right cause first, and how long it takes. */
import { runCatalogue } from "../tests/harness/catalogue.ts";
import { Clinic } from "../tests/harness/clinic.ts";
import { median, row } from "./timing.ts";

const HEALTHY_RUNS = 100;

export async function run(): Promise<void> {
  console.log(row("fault", "named first", "right", "ms"));
  console.log(row("---", "---", "---", "---"));
  const outcomes = await runCatalogue();
  for (const { fault, named, right, ms } of outcomes) {
    console.log(
      row(fault.name, `\`${named}\``, right ? "yes" : `no: ${fault.cause}`, ms.toFixed(0)),
    );
  }
  const right = outcomes.filter((outcome) => outcome.right).length;

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
