/**
 * `./dev bench [NAME [ARG…]]`: one of this folder's benchmarks, or all of them and the report
 * (RESULTS.md, results.svg). It fails if a goal is missed that the report holds as met.
 * `./dev bench --gate`: those with ratios, held against the report.
 *
 * A benchmark is a file with a function `run(args)` that prints Markdown as it goes; each runs in a
 * throwaway network, /run and /var/lib of its own.
 */
import { fromFileUrl } from "@std/path";
import { MESOS_CNI } from "../tests/harness/binary.ts";
import { compare, newlyMissed } from "./gate.ts";
import { writeReport } from "./report.ts";

/** Shared by the benchmarks, and none itself. */
const NO_BENCHMARKS = ["main", "gate", "timing", "report", "plot", "shell", "cpu"];
/** What the gate runs, each with as few rounds as still give a median. */
const GATE = [["startup"], ["netns"], ["attach", "5", "100"], ["service", "200"], ["list", "5"], [
  "podman",
  "5",
]];
/** Set for the process that a benchmark runs in. */
const INSIDE = "MESOS_CNI_BENCH_INSIDE";

const names = [...Deno.readDirSync(new URL(".", import.meta.url))]
  .filter((entry) => entry.isFile && entry.name.endsWith(".ts"))
  .map((entry) => entry.name.slice(0, -".ts".length))
  .filter((name) => !NO_BENCHMARKS.includes(name))
  .sort();

const [wanted, ...args] = Deno.args;
const name = wanted?.replaceAll("-", "_");
if (wanted === "--gate") await runGate();
if (name !== undefined && !names.includes(name)) {
  console.error(`bench: there is no ${wanted}; there are: ${names.join(", ")}`);
  Deno.exit(2);
}
if (name === undefined) await runAll();
else if (Deno.env.has(INSIDE)) {
  endWithCaller();
  await (await import(`./${name}.ts`)).run(args);
  Deno.exit(0);
} else await runOne([name, ...args]);

async function runOne(args: string[]): Promise<never> {
  const before = await lastReport();
  const { code, text } = await runInside(args);
  Deno.exit(code !== 0 || isAnyMissed(before, text) ? 1 : 0);
}

async function runAll(): Promise<void> {
  const sections: { name: string; text: string }[] = [];
  const before = await lastReport();
  let failed = false;
  for (const name of names) {
    console.log(`\n## ${name}\n`);
    const start = performance.now();
    const { code, text } = await runInside([name]);
    console.log(`\n(${name} took ${((performance.now() - start) / 1000).toFixed(0)} s)`);
    failed ||= code !== 0;
    sections.push({ name, text: code === 0 ? text : `${text}\n(it ended with ${code})` });
  }
  await writeReport(sections);
  const now = sections.map(({ text }) => text).join("\n");
  if (isAnyMissed(before, now) || failed) Deno.exit(1);
}

async function runGate(): Promise<never> {
  let now = "";
  let failed = false;
  for (const args of GATE) {
    const { code, text } = await runInside(args);
    failed ||= code !== 0;
    now += text;
  }
  const before = await lastReport();
  const { lines, isWell } = compare(before, now);
  console.log(`\n${lines.join("\n")}`);
  Deno.exit(isWell && !failed ? 0 : 1);
}

function lastReport(): Promise<string> {
  return Deno.readTextFile(new URL("RESULTS.md", import.meta.url));
}

/** Says which goals were met once and are missed now. */
function isAnyMissed(before: string, now: string): boolean {
  const missed = newlyMissed(before, now);
  if (missed.length > 0) console.log(`\nmet before, and missed now:\n${missed.join("\n")}`);
  return missed.length > 0;
}

/** This program again for one benchmark, whose output is shown and returned. */
async function runInside(args: string[]): Promise<{ code: number; text: string }> {
  // As new as the empty program beside it: how a file lies in the page cache is a tenth of a start.
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
  try {
    await Deno.copyFile(MESOS_CNI, `${dir}/mesos-cni`);
    return await runWith(`${dir}/mesos-cni`, args);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function runWith(program: string, args: string[]): Promise<{ code: number; text: string }> {
  const mounts = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && ip link set lo up";
  const deno = [
    Deno.execPath(),
    ...ownFlags(),
    fromFileUrl(import.meta.url),
    ...args,
  ];
  const child = new Deno.Command("unshare", {
    // What a benchmark starts ends with it, also where it was ended itself.
    args: [
      ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["sh", "-c", `${mounts} && exec "$@"`, "sh", ...deno],
    ],
    env: { [INSIDE]: "1", MESOS_CNI_TEST_PROGRAM: program },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return { code: (await child.status).code, text };
}

/** The caller holds the other end of the input, and nothing is written there: it closes with the caller. */
function endWithCaller(): void {
  Deno.stdin.readable.pipeTo(new WritableStream()).finally(() => Deno.exit(1));
}

/** How this program was called: what stands before the name of this file. */
function ownFlags(): string[] {
  const words = Deno.readTextFileSync("/proc/self/cmdline").split("\0");
  return words.slice(1, words.findIndex((word) => word.endsWith("bench/main.ts")));
}
