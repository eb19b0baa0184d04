/** The Mesos agent that runs on this machine, and the flags that it was started with. */
import { messageOf } from "../base/error.ts";
import { log } from "../base/log.ts";
import { readProcFile } from "../kernel/files.ts";
import { isGone, isRefused, linkTarget } from "../kernel/proc.ts";
import { processIds } from "../kernel/processes.ts";

/** An agent's flags by name; a switch that is set is `true`, one that is unset `false`. */
export interface RunningAgent {
  pid: number;
  /** From its command line, and from its environment (`MESOS_NAME`) where that has none. */
  flags: ReadonlyMap<string, string>;
}

/** As the kernel cuts a program's name (TASK_COMM_LEN); a slave is what agents were called before 1.0. */
const NAMES = ["mesos-agent", "mesos-slave", "lt-mesos-agent", "lt-mesos-slave"];

/**
 * The first agent that sees the same files as this process: the paths of one in a container mean
 * nothing here. Its flags name programs that root runs, so what only has an agent's name, and is
 * another user's or was started by one, is none.
 */
export function findRunningAgent(): RunningAgent | undefined {
  const own = mountNamespaceOf("self");
  for (const pid of processIds()) {
    try {
      if (!NAMES.includes(readProcFile(`/proc/${pid}/comm`).trim())) continue;
      const reason = mountNamespaceOf(pid) !== own
        ? "it has other mounts"
        : isRootsOrOwn(pid)
        ? undefined
        : "it is another user's";
      if (reason !== undefined) {
        passOver(pid, reason);
        continue;
      }
      const words = readProcFile(`/proc/${pid}/cmdline`).split("\0");
      const environment = readProcFile(`/proc/${pid}/environ`).split("\0");
      return {
        pid,
        flags: new Map([...flagsOfEnvironment(environment), ...flagsOfCommandLine(words)]),
      };
    } catch (error) {
      // It has ended, or lets nobody look at it.
      if (isRefused(error)) passOver(pid, messageOf(error));
      else if (!isGone(error)) throw error;
    }
  }
  return undefined;
}

function passOver(pid: number, reason: string): void {
  log.debug("a process called as an agent is passed over", { pid, reason });
}

function mountNamespaceOf(pid: number | "self"): string {
  return linkTarget(`/proc/${pid}/ns/mnt`);
}

/** Whether all of a process's user ids are root's or this process's: a set-user-id program keeps its caller's. */
function isRootsOrOwn(pid: number): boolean {
  const trusted = ["0", ...userIdsOf("self")];
  return userIdsOf(pid).every((id) => trusted.includes(id));
}

function userIdsOf(pid: number | "self"): string[] {
  return parseUserIds(readProcFile(`/proc/${pid}/status`));
}

/** Real, effective, saved and file system's: proc_pid_status(5). Unknown where it does not say. */
export function parseUserIds(status: string): string[] {
  return /^Uid:\s+(\d.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? ["unknown"];
}

/** stout's flags: `--name=value`, `--name` and `--no-name` for switches. */
export function* flagsOfCommandLine(words: readonly string[]): Generator<[string, string]> {
  for (const word of words.slice(1)) {
    if (!word.startsWith("--")) continue;
    const equals = word.indexOf("=");
    const name = (equals < 0 ? word.slice(2) : word.slice(2, equals)).replaceAll("-", "_");
    if (equals >= 0) yield [name, word.slice(equals + 1)];
    else if (name.startsWith("no_")) yield [name.slice(3), "false"];
    else yield [name, "true"];
  }
}

/** An agent takes each flag from its environment too, as `MESOS_NAME`. */
export function* flagsOfEnvironment(entries: readonly string[]): Generator<[string, string]> {
  for (const entry of entries) {
    const [, name, value] = /^MESOS_([A-Za-z0-9_]+)=(.*)$/s.exec(entry) ?? [];
    if (name !== undefined) yield [name.toLowerCase(), value!];
  }
}
