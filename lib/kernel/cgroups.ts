/** The control groups of a process (cgroups(7)), where they are mounted. */
import { messageOf, OperatorError } from "../base/error.ts";
import { O_WRONLY, open, readProcFile, write } from "./files.ts";
import { SystemError } from "./libc.ts";
import { type MountInfo, mounts } from "./mount.ts";
import { isOutOfSight, stateOf } from "./proc.ts";
import { unless } from "../base/unless.ts";

export interface Cgroup {
  /** Empty for the one of version 2, in which all are; `name=NAME` for one that controls nothing. */
  controllers: string;
  /** In its hierarchy, seen from the root of this process's cgroup namespace. */
  path: string;
  /** Absent where the group can't be reached: its hierarchy is not mounted here, or not this part of it. */
  directory?: string;
}

/** @param process its directory under /proc @throws {SystemError} */
export function cgroupsOf(process: string): Cgroup[] {
  const all = mounts().filter(({ type }) => type === "cgroup" || type === "cgroup2");
  return readProcFile(`${process}/cgroup`).split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    const of = all.filter((mount) => isOf(mount, controllers));
    const directory = of.map((mount) => directoryIn(mount, path)).find((one) => one !== undefined);
    return [{ controllers, path, directory }];
  });
}

function isOf({ type, options }: MountInfo, controllers: string): boolean {
  if (controllers === "") return type === "cgroup2";
  return type === "cgroup" && controllers.split(",").every((one) => options.includes(one));
}

/** Where a mount has a group; undefined if it has not, or is hidden by another mount. */
function directoryIn({ root, mountPoint, device }: MountInfo, path: string): string | undefined {
  // What is outside of this process's cgroup namespace has no path that could be followed.
  if (`${root}${path}`.split("/").includes("..")) return undefined;
  const top = root === "/" ? "" : root;
  if (path !== root && !path.startsWith(`${top}/`)) return undefined;
  const directory = `${mountPoint}${path.slice(top.length)}`.replace(/\/$/, "");
  return unless(isOutOfSight, () => stateOf(directory).device === device ? directory : undefined);
}

/**
 * Puts this process into another one's groups, for what it starts: only there are the other's limits
 * of memory and processes, and the devices that it may open. Where memory is short, it is at least as
 * likely to be killed as the other (proc_pid_oom_score_adj(5)).
 *
 * @throws {OperatorError} `cgroup` where it can't be put: without the limits, nothing is to be started
 */
export function joinCgroupsOf(process: string): void {
  const adjusted = (process: string) => Number(readProcFile(`${process}/oom_score_adj`));
  const theirs = adjusted(process);
  if (theirs > adjusted("/proc/self")) writeTo("/proc/self/oom_score_adj", String(theirs));
  const own = cgroupsOf("/proc/self").map(({ controllers, path }) => `${controllers}:${path}`);
  for (const { controllers, path, directory } of cgroupsOf(process)) {
    if (own.includes(`${controllers}:${path}`)) continue;
    if (directory !== undefined) join(directory);
    // One that controls nothing has no limits to miss.
    else if (!controllers.startsWith("name=")) {
      const hierarchy = controllers === "" ? "version 2" : controllers;
      throw cannotJoin(
        `${path} of ${hierarchy}`,
        "it is not mounted here, where this program sees it",
      );
    }
  }
}

function join(directory: string): void {
  try {
    writeTo(`${directory}/cgroup.procs`, "0");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw cannotJoin(directory, messageOf(error));
  }
}

function cannotJoin(group: string, why: string): OperatorError {
  return new OperatorError(
    "cgroup",
    `the container's control group ${group} can't be entered, and its limits would not hold for ` +
      `the command (${why}): leave --mount away, or run this where the group is mounted for writing`,
  );
}

function writeTo(path: string, text: string): void {
  using file = open(path, O_WRONLY);
  write(file, text, path);
}
