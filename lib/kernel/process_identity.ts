/**
 * A process as itself and not as a number: the kernel gives the number to another one later, and a
 * container can see to it that it is one of its own.
 */
import { readProcFile } from "./files.ts";
import { errno, unless } from "../base/unless.ts";

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks from boot to its start (proc_pid_stat(5), field 22). */
  startTime: number;
  /** The boot that it belongs to. */
  bootId: string;
}

/** The identity of a process that runs; undefined for one that has ended, reaped or not. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime, bootId: bootId() };
}

/** Whether this very process runs. */
export function isRunning({ pid, startTime, bootId: boot }: ProcessIdentity): boolean {
  return boot === bootId() && startTimeOf(pid) === startTime;
}

/** When a process started, in clock ticks since boot; undefined when none runs by that number. */
export function startTimeOf(pid: number): number | undefined {
  const stat = unless(errno("ENOENT", "ESRCH"), () => readProcFile(`/proc/${pid}/stat`));
  if (stat === undefined) return undefined;
  const { state, startTime } = parseStat(stat);
  return state === "Z" || state === "X" ? undefined : startTime;
}

/** Clock ticks as ms: the kernel counts a hundred a second for programs (USER_HZ), whatever its own are. */
export function millisecondsOf(ticks: number): number {
  return ticks * 10;
}

/** What is read of /proc/PID/stat (proc_pid_stat(5)). */
export function parseStat(stat: string): { state: string; parent: number; startTime: number } {
  // The second field is the program's name in parentheses, which it may choose at will.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, parent: Number(fields[1]), startTime: Number(fields[19]) };
}

let boot: string | undefined;

/** The id of this boot, which no other boot of any machine has. */
export function bootId(): string {
  return boot ??= readProcFile("/proc/sys/kernel/random/boot_id").trim();
}

/**
 * How long ago, in ms, this machine was booted: a time of this boot that no setting of the clock
 * changes (CLOCK_BOOTTIME, proc_uptime(5)).
 */
export function uptime(): number {
  return Math.round(Number(readProcFile("/proc/uptime").split(" ")[0]) * 1000);
}

/** When this machine was booted, in ms since 1970, as its clock has it today. */
export function bootTime(): number {
  const seconds = /^btime (\d+)$/m.exec(readProcFile("/proc/stat"))?.[1];
  return Number(seconds ?? 0) * 1000;
}
