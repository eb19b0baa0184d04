/** What keeps a process from its work: proc_pid_stat(5), cgroups(7), getrlimit(2). */
import { unlessRefused } from "../base/unless.ts";
import { cgroupsOf } from "../kernel/cgroups.ts";
import { readProcFile } from "../kernel/files.ts";
import { entriesOf } from "../kernel/proc.ts";
import { processName } from "./processes.ts";

export type Hindrance = "stopped" | "frozen" | "blocked" | "descriptors";

/** `4711 (nginx)` */
export function processText(pid: number): string {
  return `process ${pid} (${processName(pid) ?? "?"})`;
}

/** @returns undefined for a process that works, or has ended */
export function hindranceOf(pid: number): { what: Hindrance; seen: string } | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const frozen = frozenBy(pid);
  if (frozen !== undefined) return { what: "frozen", seen: frozen };
  const state = stat.slice(stat.lastIndexOf(")") + 2)[0]!;
  if (state === "T" || state === "t") return { what: "stopped", seen: `its state is ${state}` };
  if (state === "D") return { what: "blocked", seen: "its state is D" };
  const limit = /^Max open files\s+(\d+)/m.exec(read(`/proc/${pid}/limits`) ?? "")?.[1];
  const open = unlessRefused(() => entriesOf(`/proc/${pid}/fd`).length);
  return limit !== undefined && open !== undefined && open >= Number(limit)
    ? { what: "descriptors", seen: `it has ${open} files open, and its limit is ${limit}` }
    : undefined;
}

/** The file that says so: of the freezer (v1), or of cgroup.freeze (v2). */
export function frozenBy(pid: number): string | undefined {
  for (const { controllers, directory } of unlessRefused(() => cgroupsOf(`/proc/${pid}`)) ?? []) {
    if (directory === undefined || !["", "freezer"].includes(controllers)) continue;
    const [file, frozen] = controllers === ""
      ? ["cgroup.events", /^frozen 1$/m] as const
      : ["freezer.state", /^(FROZEN|FREEZING)/] as const;
    if (frozen.test(read(`${directory}/${file}`) ?? "")) return `${directory}/${file} says frozen`;
  }
  return undefined;
}

function read(file: string): string | undefined {
  return unlessRefused(() => readProcFile(file));
}
