/** The control groups of a process (cgroups(7)), where agents have them mounted. */
import { O_WRONLY, open, readProcFile, write } from "./files.ts";
import { findInode } from "./proc.ts";

const MOUNTS = "/sys/fs/cgroup";

export interface Cgroup {
  /** Empty for the one of version 2, in which all are; `name=NAME` for one that controls nothing. */
  controllers: string;
  directory: string;
}

/** @param process its directory under /proc @throws {SystemError} */
export function cgroupsOf(process: string): Cgroup[] {
  return readProcFile(`${process}/cgroup`).split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined) return [];
    const mount = controllers !== ""
      ? `${MOUNTS}/${controllers.replace(/^name=/, "")}`
      : findInode(`${MOUNTS}/unified`) !== undefined
      ? `${MOUNTS}/unified`
      : MOUNTS;
    return [{ controllers, directory: path === "/" ? mount : `${mount}${path}` }];
  });
}

/**
 * Puts this process into another one's groups, for what it starts: only there are the other's limits
 * of memory and processes, and the devices that it may open. Where memory is short, it is at least as
 * likely to be killed as the other (proc_pid_oom_score_adj(5)).
 *
 * @throws {SystemError}
 */
export function joinCgroupsOf(process: string): void {
  const adjusted = (process: string) => Number(readProcFile(`${process}/oom_score_adj`));
  const theirs = adjusted(process);
  if (theirs > adjusted("/proc/self")) writeTo("/proc/self/oom_score_adj", String(theirs));
  const own = cgroupsOf("/proc/self").map(({ directory }) => directory);
  for (const { directory } of cgroupsOf(process)) {
    if (own.includes(directory)) continue;
    writeTo(`${directory}/cgroup.procs`, "0");
  }
}

function writeTo(path: string, text: string): void {
  using file = open(path, O_WRONLY);
  write(file, text, path);
}
