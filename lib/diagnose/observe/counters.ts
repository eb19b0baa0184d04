/** Counters of drops that no trace tells of: rules of iptables-legacy, qdiscs and filters of tc. */
import { variable } from "../../base/environment.ts";
import { readProcFile } from "../../kernel/files.ts";
import { inNamespaces } from "../../kernel/namespaces.ts";
import { SystemError } from "../../kernel/libc.ts";
import { runProgram } from "../../program/run.ts";
import { findTool } from "../../program/tool.ts";
import type { Stop } from "../journey.ts";

/** What counts → how much so far. */
export type Counters = Map<string, number>;

const LEGACY = {
  "iptables-legacy": "ip_tables_names",
  "ip6tables-legacy": "ip6_tables_names",
} as const;

/** Reads them in every namespace of the stops. */
export async function countersOf(stops: readonly Stop[]): Promise<Counters> {
  const counters: Counters = new Map();
  const spaces = new Set([undefined, ...stops.map(({ point }) => point.netns)]);
  const reads: Promise<void>[] = [];
  for (const netns of spaces) {
    for (const [program, names] of Object.entries(LEGACY)) {
      if (procIn(netns, `/proc/thread-self/net/${names}`).trim() === "") continue;
      reads.push(legacy(counters, `${program}-save`, netns));
    }
  }
  for (const { point } of stops) reads.push(tc(counters, point.name.split(" ")[0]!, point.netns));
  await Promise.all(reads);
  return counters;
}

/** The names of those that grew, with by how much. */
export function grownCounters(before: Counters, after: Counters): string[] {
  return [...after].filter(([key, value]) => value > (before.get(key) ?? 0)).map(([key]) => key);
}

/** Whether iptables-legacy has tables in a namespace. */
export function hasLegacy(netns?: string): boolean {
  return Object.values(LEGACY).some((names) =>
    procIn(netns, `/proc/thread-self/net/${names}`).trim() !== ""
  );
}

function procIn(netns: string | undefined, path: string): string {
  const read = () => {
    try {
      return readProcFile(path);
    } catch (error) {
      if (error instanceof SystemError) return "";
      throw error;
    }
  };
  return netns === undefined ? read() : inNamespaces({ net: netns }, read);
}

/** No list of rules, links or sockets takes longer than this. */
const TIMEOUT_MS = 5000;
const OUTPUT_LIMIT = 32 << 20;
const STDERR_KEPT = 4096;
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a program prints in a namespace; nothing if it is not there, fails, or prints without end. */
export async function outputIn(
  netns: string | undefined,
  name: string,
  args: readonly string[],
): Promise<string> {
  const file = findTool(name, variable("PATH") ?? "");
  if (file === undefined) return "";
  const { code, stdout, stopped } = await runProgram(file, {
    args,
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
    timeoutMs: TIMEOUT_MS,
    outputLimit: OUTPUT_LIMIT,
    stderrKept: STDERR_KEPT,
    start: (spawn) => netns === undefined ? spawn() : inNamespaces({ net: netns }, spawn),
  });
  return code === 0 && !stopped ? stdout : "";
}

async function legacy(
  counters: Counters,
  program: string,
  netns: string | undefined,
): Promise<void> {
  let table = "";
  for (const line of (await outputIn(netns, program, ["-c"])).split("\n")) {
    if (line.startsWith("*")) table = line.slice(1);
    const rule = /^\[(\d+):\d+\] (-A .* -[jg] .*)$/.exec(line);
    const policy = /^:(\S+) DROP \[(\d+):\d+\]$/.exec(line);
    const prefix = `legacy\t${program.replace("-save", "")}\t${netns ?? ""}\t${table}\t`;
    if (rule) counters.set(`${prefix}${rule[2]}`, Number(rule[1]));
    if (policy) counters.set(`${prefix}-P ${policy[1]} DROP`, Number(policy[2]));
  }
}

async function tc(counters: Counters, device: string, netns: string | undefined): Promise<void> {
  const read = async (...args: string[]) =>
    await outputIn(netns, "tc", ["-s", ...args, "dev", device]);
  const qdiscs = await read("qdisc", "show");
  let name = "";
  for (const line of qdiscs.split("\n")) {
    const head = /^qdisc (\S+) (\S+:)/.exec(line);
    if (head) name = `${head[1]} ${head[2]}`;
    const dropped = /dropped (\d+), overlimits/.exec(line);
    if (dropped) counters.set(`tc\t${netns ?? ""}\t${device}\tqdisc\t${name}`, Number(dropped[1]));
  }
  if (!/qdisc (clsact|ingress|htb|prio|tbf)/.test(qdiscs)) return;
  for (const direction of ["ingress", "egress", "root"]) {
    const text = await outputIn(netns, "tc", ["-s", "filter", "show", "dev", device, direction]);
    let filter = "";
    let takes = false;
    for (const line of text.split("\n")) {
      if (line.startsWith("filter")) [filter, takes] = [line.trim(), false];
      // What it redirects is gone from here, though it is not counted as dropped.
      if (/redirect|drop|shot|stolen/i.test(line) && /action|mirred/.test(line)) takes = true;
      const dropped = (takes ? / bytes (\d+) pkts?/ : /dropped (\d+), overlimits/).exec(line);
      if (!dropped) continue;
      const key = `tc\t${netns ?? ""}\t${device}\tfilter ${direction}\t${filter}`;
      counters.set(key, (counters.get(key) ?? 0) + Number(dropped[1]));
    }
  }
}
