/** Ending a child together with the programs that it started. */
import { isA, unless, unlessRefused } from "../base/unless.ts";
import { readProcFile } from "./files.ts";
import { parseStat } from "./process_identity.ts";
import { processIds } from "./processes.ts";

/**
 * Kills a child of this process and all that descends from it. What was left behind by a parent
 * that has ended, as daemons are, no longer descends from anybody and lives on.
 */
export function killTree(child: number): void {
  // Else it has just ended, and the number may be another program's by now.
  if (parentOf(child) !== Deno.pid) return;
  const tree = new Set<number>();
  let found = [child];
  while (found.length > 0) {
    for (const pid of found) {
      tree.add(pid);
      signal(pid, "SIGSTOP");
    }
    // A process that is stopped starts no other: only what it had started is still to be found.
    found = processIds().filter((pid) => !tree.has(pid) && tree.has(parentOf(pid)));
  }
  for (const pid of tree) signal(pid, "SIGKILL");
}

/** 0 for a process that has ended. */
export function parentOf(pid: number): number {
  return unlessRefused(() => parseStat(readProcFile(`/proc/${pid}/stat`)).parent) ?? 0;
}

function signal(pid: number, name: Deno.Signal): void {
  unless(isA(Deno.errors.NotFound), () => Deno.kill(pid, name));
}
