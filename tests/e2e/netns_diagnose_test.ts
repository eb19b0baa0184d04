/** The compiled program's diagnosis: the right cause first, and health where there is health. */
import { assert, assertEquals } from "@std/assert";
import { Clinic, portMapperNetwork } from "../harness/clinic.ts";
import { FAULTS } from "../harness/faults.ts";

/** The whole catalogue must be right in so many parts. */
const GOAL = 0.95;
const HEALTHY_RUNS = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 100 : 10;

Deno.test("of every fault in the catalogue the right cause is named first, in 95 of 100", async () => {
  const wrong: string[] = [];
  for (const fault of FAULTS) {
    await using clinic = await Clinic.open(
      fault.network ? { ...portMapperNetwork, backend: fault.network } : undefined,
    );
    await fault.inject(clinic);
    const output = await clinic.netns("diagnose", fault.patient ?? "patient", "--json");
    const findings = output.stdout === "" ? [] : JSON.parse(output.stdout).findings;
    const named = findings[0]?.cause ?? output.stderr;
    const right = named === fault.cause && output.code === 1;
    if (!right) wrong.push(`${fault.name}: ${named}`);
    console.log(`${right ? "right" : "WRONG"}  ${fault.name}: ${named}`);
  }
  console.log(`${FAULTS.length - wrong.length} of ${FAULTS.length} causes right`);
  assert(wrong.length <= FAULTS.length * (1 - GOAL), wrong.join("\n"));
});

Deno.test(`a healthy container is called healthy, ${HEALTHY_RUNS} times of ${HEALTHY_RUNS}`, async () => {
  for (const network of [portMapperNetwork, { ...portMapperNetwork, backend: "nftables" }]) {
    await using clinic = await Clinic.open(network);
    for (let run = 0; run < HEALTHY_RUNS / 2; run++) {
      const output = await clinic.netns("diagnose", "patient");
      assertEquals([output.code, output.stderr], [0, ""], output.stdout);
      assert(output.stdout.startsWith("patient is healthy"), output.stdout);
    }
  }
});
