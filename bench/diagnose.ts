/**
 * How long `netns diagnose` keeps a person waiting: of a healthy container, of ill ones, of one that a
 * neighbour floods, and of all of an agent. What it says of them is judged by `./dev catalogue`.
 *
 * `./dev bench diagnose`
 */
import { fromFileUrl } from "@std/path";
import { readSetups, runSetups } from "../tests/harness/catalogue.ts";
import { PYTHON } from "../tests/harness/binary.ts";
import { Clinic, end } from "../tests/harness/clinic.ts";
import type { Fault } from "../tests/harness/diagnosis_judge.ts";
import { bridgeNetwork } from "../tests/harness/stock_agent.ts";
import { goal, row, shown, summary, type Timing } from "./timing.ts";

const RUNS = 15;
/** Of the catalogue's faults, each so-many-th. */
const EVERY = 20;
const CONTAINERS = 50;
const [HEALTHY_LIMIT_MS, ILL_LIMIT_MS, ALL_LIMIT_MS] = [2_000, 10_000, 30_000];

export async function run(): Promise<void> {
  const times = {
    "a healthy container": await healthy(),
    "an ill container": await ill(),
    "a container that is flooded": await flooded(),
    [`all ${CONTAINERS} of an agent, each tenth ill`]: await all(),
  };
  console.log(row("diagnosis of", "median (min … max)"));
  console.log(row("---", "---"));
  for (const [what, timing] of Object.entries(times)) console.log(row(what, shown(timing)));
  console.log("");
  const [one, fault, flood, crowd] = Object.values(times);
  console.log(goal("a healthy container, at most", one!.max, HEALTHY_LIMIT_MS, " ms"));
  console.log(goal("an ill container, at most", fault!.max, ILL_LIMIT_MS, " ms"));
  console.log(goal("a flooded container, at most", flood!.max, ILL_LIMIT_MS, " ms"));
  console.log(goal("all containers, at most", crowd!.max, ALL_LIMIT_MS, " ms"));
}

/** @param code with which each must end, or what is measured is something else */
async function time(
  clinic: Clinic,
  runs: number,
  args: string[],
  code: number,
): Promise<Timing> {
  const samples: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    const output = await clinic.netns("diagnose", ...args);
    samples.push(performance.now() - start);
    if (output.code !== code) throw new Error(`${output.code}: ${output.stdout}${output.stderr}`);
  }
  return summary(samples);
}

/** An agent whose two containers serve their ports. */
async function openClinic(): Promise<Clinic> {
  const clinic = await Clinic.open();
  for (const container of [clinic.patient, clinic.neighbour]) {
    await container.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  }
  return clinic;
}

async function healthy(): Promise<Timing> {
  await using clinic = await openClinic();
  return await time(clinic, RUNS, ["patient"], 0);
}

/** One at a time, of all kinds. */
async function ill(): Promise<Timing> {
  const faults = [...await readSetups<Fault>("faults"), ...await readSetups<Fault>("outside")];
  const some = faults.filter((_, i) => i % EVERY === 0);
  const outcomes = await runSetups(some, undefined, 1);
  const unmade = outcomes.find(({ unmade }) => unmade !== undefined);
  if (unmade) throw new Error(`${unmade.setup.name}: ${unmade.unmade}`);
  return summary(outcomes.map(({ ms }) => ms));
}

async function flooded(): Promise<Timing> {
  await using clinic = await openClinic();
  const script = fromFileUrl(new URL("../tests/harness/hostile_neighbour.py", import.meta.url));
  const flood = clinic.neighbour.spawn([PYTHON, script, "10.1.0.1", clinic.address]);
  try {
    const reader = flood.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    return await time(clinic, 3, ["patient"], 1);
  } finally {
    await end(flood);
  }
}

async function all(): Promise<Timing> {
  await using clinic = await openClinic();
  const network = bridgeNetwork("crowd", "10.40.0.0/16");
  for (let i = 2; i < CONTAINERS; i++) {
    const one = await clinic.admit(`crowd-${i}`, [network]);
    if (i % 10 === 5) await one.ok(["ip", "route", "del", "default"]);
  }
  return await time(clinic, 3, ["--all"], 1);
}
