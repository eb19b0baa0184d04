/** What keeps a process from its work: proc_pid_stat(5), cgroups(7), getrlimit(2). */
import { unlessRefused } from "../base/unless.ts";
import { cgroupsOf } from "../kernel/cgroups.ts";
import { readProcFile } from "../kernel/files.ts";
import { entriesOf } from "../kernel/proc.ts";
import { processName } from "./processes.ts";

export type Hindrance = "stopped" | "blocked" | "descriptors" | ByGroup;
/** What a control group keeps its processes from. */
type ByGroup = "frozen" | "memory" | "processes";

/** `4711 (nginx)` */
export function processText(pid: number): string {
  return `process ${pid} (${processName(pid) ?? "?"})`;
}

/** @returns undefined for a process that works, or has ended */
export function hindranceOf(pid: number): { what: Hindrance; seen: string } | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const kept = keptByGroup(pid);
  if (kept?.what === "frozen") return kept;
  const state = stat.slice(stat.lastIndexOf(")") + 2)[0]!;
  if (state === "T" || state === "t") return { what: "stopped", seen: `its state is ${state}` };
  if (kept) return kept;
  if (state === "D") return { what: "blocked", seen: "its state is D" };
  const limit = /^Max open files\s+(\d+)/m.exec(read(`/proc/${pid}/limits`) ?? "")?.[1];
  const open = unlessRefused(() => entriesOf(`/proc/${pid}/fd`).length);
  return limit !== undefined && open !== undefined && open >= Number(limit)
    ? { what: "descriptors", seen: `it has ${open} files open, and its limit is ${limit}` }
    : undefined;
}

/** Frozen (freezer of v1, cgroup.freeze), waiting for memory (v1 without its killer), or as many as may be (pids). */
export function keptByGroup(pid: number): { what: ByGroup; seen: string } | undefined {
  for (const { directory } of unlessRefused(() => cgroupsOf(`/proc/${pid}`)) ?? []) {
    if (directory === undefined) continue;
    const text = (file: string) => read(`${directory}/${file}`)?.trim() ?? "";
    for (const [what, file, pattern] of STATES) {
      const [line] = pattern.exec(text(file)) ?? [];
      if (line !== undefined) return { what, seen: `${directory}/${file} says ${line}` };
    }
    const [now, most] = [text("pids.current"), text("pids.max")];
    if (most !== "" && Number(now) >= Number(most)) {
      return { what: "processes", seen: `${directory}/pids.max is ${most}, and so many are there` };
    }
  }
  return undefined;
}

const STATES = [
  ["frozen", "cgroup.events", /^frozen 1$/m],
  ["frozen", "freezer.state", /^(?:FROZEN|FREEZING)/],
  ["memory", "memory.oom_control", /^under_oom 1$/m],
] as const;

function read(file: string): string | undefined {
  return unlessRefused(() => readProcFile(file));
}
