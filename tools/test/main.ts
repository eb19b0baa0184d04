/**
 * Runs test files side by side, each in namespaces of its own. `./dev test` calls it; the last line
 * is "N passed, N failed", with ", N skipped" if there are any.
 *
 * Usage: main.ts [DENO-FLAG…] -- FILE…
 */
import { pathToFileURL } from "node:url";
import { type Job, jobsOf, slowestFirst, takingTurns } from "./jobs.ts";
import {
  addTallies,
  closingLine,
  errorsIn,
  type Processors,
  readCpu,
  readStat,
  readTally,
  type Tally,
} from "./tally.ts";

/**
 * Seconds of a file, from its start: ten times what the longest takes on two quiet cores. A file that
 * waits for its turn does not use any of them.
 */
const FILE_LIMIT = Number(Deno.env.get("MESOS_CNI_TEST_TIMEOUT") ?? 900);
/** Seconds of all files together, for the case that many of them hang. */
const TOTAL_LIMIT = Number(Deno.env.get("MESOS_CNI_TEST_TOTAL") ?? 5400);
const CORES = navigator.hardwareConcurrency;
const JOBS = Deno.env.get("MESOS_CNI_TEST_JOBS");
/** Tests wait more than they work: so many files at a time, and more of them while a processor is idle. */
const AT_A_TIME = Number(JOBS ?? 3 * CORES);
const MOST_AT_A_TIME = Number(JOBS ?? 5 * CORES);
/** The share of all processors' time within a second that is worth another file. */
const IDLE = 0.1;
/** Who runs the tests: the Deno that runs this, or an emulated one with a cache of its own. */
const DENO = Deno.env.get("MESOS_CNI_TEST_DENO") ?? Deno.execPath();
const DENO_DIR = Deno.env.get("MESOS_CNI_TEST_DENO_DIR");
const OUTPUT = "dist/tests";
const TIMES = `${OUTPUT}/times.json`;

interface Outcome {
  job: Job;
  tally: Tally;
  seconds: number;
  /** Seconds of all its processes, which are the same beside other work; none is known of unit tests. */
  cpu: number;
}

/** Where each job mounts a file system of its own: it waits for no disk, and is gone with the job. */
const SCRATCH = await Deno.makeTempDir();
const MOUNT_SCRATCH = 'mount -t tmpfs tmpfs "$TMPDIR" || exit; ';

const split = Deno.args.indexOf("--");
const denoFlags = Deno.args.slice(0, split);
const all = Deno.args.slice(split + 1);
const commit = Deno.env.get("MESOS_CNI_TEST_TURN");
const files = commit ? takingTurns(all, commit) : all;
if (files.length < all.length) {
  console.log(
    `${all.length - files.length} long files have their turn at other commits, and in CI`,
  );
}

await Deno.mkdir(OUTPUT, { recursive: true });
const times: Record<string, number> = await readTimes();
const jobs = slowestFirst(jobsOf(files), times);
const began = performance.now();
const waiting = [...jobs];
const outcomes: Outcome[] = [];

async function work(): Promise<void> {
  for (let job = waiting.shift(); job; job = waiting.shift()) {
    const left = TOTAL_LIMIT - (performance.now() - began) / 1000;
    const outcome = await (left > 0 ? run(job, left) : leave(job));
    outcomes.push(outcome);
    await report(outcome);
  }
}
const workers = Array.from({ length: Math.min(AT_A_TIME, jobs.length) }, work);
let before = await readProcessors();
while (waiting.length > 0 && workers.length < MOST_AT_A_TIME) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const now = await readProcessors();
  if (now.idle - before.idle > IDLE * (now.all - before.all)) workers.push(work());
  before = now;
}
await Promise.all(workers);

await Deno.remove(SCRATCH, { recursive: true });
// What one takes alone says nothing of what it takes beside others.
if (jobs.length > 1) {
  for (const { job, tally, seconds } of outcomes) if (tally.failed === 0) times[job.name] = seconds;
}
await Deno.writeTextFile(TIMES, JSON.stringify(times));
const failed = outcomes.filter(({ tally }) => tally.failed > 0);
if (failed.length > 0) console.log("\nFailed:");
for (const { job } of failed) {
  console.log(`  ${job.name} (${logOf(job)})`);
  // Once more, since whoever keeps only the end of a long output needs to see why.
  for (const line of errorsIn(await Deno.readTextFile(logOf(job)))) console.log(`    ${line}`);
}
const sum = addTallies(outcomes.map(({ tally }) => tally));
const cpu = outcomes.reduce((sum, { cpu }) => sum + cpu, 0);
const took = ((performance.now() - began) / 1000).toFixed(0);
console.log(`\n${took} s; beside unit tests, ${cpu.toFixed(0)} s of CPU`);
console.log(closingLine(sum));
Deno.exit(sum.failed > 0 ? 1 : 0);

async function readProcessors(): Promise<Processors> {
  return readStat(await Deno.readTextFile("/proc/stat"));
}

async function readTimes(): Promise<Record<string, number>> {
  try {
    return JSON.parse(await Deno.readTextFile(TIMES));
  } catch {
    return {}; // The order is a guess then.
  }
}

/**
 * What Deno is to run: it gives each file an engine of its own, which loads all that the file imports
 * once more, so that files of one job are imported by one.
 */
async function entryOf({ files }: Job): Promise<string> {
  if (files.length === 1) return files[0]!;
  const lines = files.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};\n`);
  // Elsewhere, since what deno.json excludes is no test, and by a URL, whatever its name is.
  const entry = `${SCRATCH}/together.ts`;
  await Deno.writeTextFile(entry, lines.join(""));
  return pathToFileURL(entry).href;
}

function logOf(job: Job): string {
  return `${OUTPUT}/${job.name.replaceAll("/", "-")}.log`;
}

/** A file that was never run is not one that passed. */
async function leave(job: Job): Promise<Outcome> {
  const line = `not run: all files together have ${TOTAL_LIMIT} s (MESOS_CNI_TEST_TOTAL)\n`;
  await Deno.writeTextFile(logOf(job), line);
  return { job, tally: readTally(line, false), seconds: 0, cpu: 0 };
}

/**
 * Output goes to a file and not through a pipe, which a process that a test has left behind would
 * keep open. The shell is the first process of the new pid namespace, where it reaps orphans as
 * init does; with it dies every process that the tests have started.
 */
async function run(job: Job, left: number): Promise<Outcome> {
  const start = performance.now();
  const log = logOf(job);
  await Deno.remove(`${log}.times`).catch(() => {}); // of a run before
  const isApart = job.namespaces.length > 0;
  const command = [
    ...job.namespaces,
    "sh",
    "-c",
    `log=$1; shift; ${
      isApart
        ? `${MOUNT_SCRATCH}"$@" >"$log" 2>&1; code=$?; times >"$log.times"; exit $code`
        : 'exec "$@" >"$log" 2>&1'
    }`,
    "sh",
    log,
    DENO,
    "test",
    ...denoFlags,
    ...job.permissions,
    await entryOf(job),
  ];
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    env: { ...DENO_DIR ? { DENO_DIR } : {}, ...isApart ? { TMPDIR: SCRATCH } : {} },
  }).spawn();
  const [most, whose] = left < FILE_LIMIT
    ? [left, `all files together have ${TOTAL_LIMIT} s (MESOS_CNI_TEST_TOTAL)`]
    : [FILE_LIMIT, `a file has ${FILE_LIMIT} s (MESOS_CNI_TEST_TIMEOUT)`];
  let cutOff = false;
  const limit = setTimeout(() => {
    cutOff = true;
    child.kill("SIGKILL");
  }, most * 1000);
  const { success } = await child.status;
  clearTimeout(limit);
  if (cutOff) {
    await Deno.writeTextFile(log, `\ncut off: ${whose}\n`, { append: true, create: true });
  }
  const tally = readTally(await Deno.readTextFile(log), success);
  const cpu = readCpu(await Deno.readTextFile(`${log}.times`).catch(() => ""));
  return { job, tally, seconds: (performance.now() - start) / 1000, cpu };
}

/** A line for each job; of a failed one, and of a file that runs alone, all that it printed. */
async function report({ job, tally, seconds, cpu }: Outcome): Promise<void> {
  const verdict = tally.failed > 0 ? "FAILED" : "ok";
  if (tally.failed > 0 || files.length === 1) console.log(await Deno.readTextFile(logOf(job)));
  const took = `${seconds.toFixed(1)} s${cpu > 0 ? `, ${cpu.toFixed(1)} of CPU` : ""}`;
  console.log(`${verdict}  ${job.name}  ${closingLine(tally)}  (${took})`);
}
