/** Runs the catalogue of faults: each in a clinic of its own, a few at a time. */
import { Clinic } from "./clinic.ts";
import { type Fault, FAULTS } from "./faults.ts";

export interface Outcome {
  fault: Fault;
  /** The cause that was named first; what was printed instead of a diagnosis. */
  named: string;
  right: boolean;
  /** How long the diagnosis took. */
  ms: number;
}

/** They wait more than they work. */
const AT_A_TIME = 6;

export async function runCatalogue(): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = [...FAULTS.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, fault] = next;
      outcomes[index] = await tryFault(fault);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return outcomes;
}

async function tryFault(fault: Fault): Promise<Outcome> {
  await using clinic = await Clinic.open(fault.network);
  await fault.inject(clinic);
  const start = performance.now();
  const output = await clinic.netns("diagnose", fault.patient ?? "patient", "--json");
  const ms = performance.now() - start;
  const findings = output.stdout === "" ? [] : JSON.parse(output.stdout).findings;
  const named = findings[0]?.cause ?? output.stderr;
  return { fault, named, right: named === fault.cause && output.code === 1, ms };
}
