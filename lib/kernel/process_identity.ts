/**
 * A process as itself and not as a number: the kernel gives the number to another one later, and a
 * container can see to it that it is one of its own.
 */
import { readProcFile } from "./files.ts";
import { findInode, threadsOf } from "./proc.ts";
import { errno, unless } from "../base/unless.ts";

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks from boot to its start (proc_pid_stat(5), field 22). */
  startTime: number;
  /** As this process sees it; earlier versions take an identity without one for another boot's. */
  bootId: string;
}

/** The identity of a process that runs; undefined for one that has ended, reaped or not. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime, bootId: bootId() };
}

/**
 * Whether this very process runs. Two time namespaces may round a start to neighbouring ticks.
 */
export function isRunning({ pid, startTime }: Omit<ProcessIdentity, "bootId">): boolean {
  return Math.abs((startTimeOf(pid) ?? Infinity) - startTime) <= 1;
}

/** When a process started, in clock ticks since boot; undefined when none runs by that number. */
export function startTimeOf(pid: number): number | undefined {
  const stat = unless(errno("ENOENT", "ESRCH"), () => readProcFile(`/proc/${pid}/stat`));
  if (stat === undefined) return undefined;
  const { state, startTime } = parseStat(stat);
  // A process whose first thread has ended goes on with the others (pthread_exit(3)).
  const hasEnded = state === "X" || state === "Z" && threadsOf(pid).length < 2;
  if (hasEnded) return undefined;
  return startTime - Math.floor(bootOffset() / TICK_MS);
}

/** The kernel counts a hundred ticks a second for programs (USER_HZ), whatever its own are. */
const TICK_MS = 10;

/** Clock ticks as ms. */
export function millisecondsOf(ticks: number): number {
  return ticks * TICK_MS;
}

/** The inode of the first time namespace (linux/proc_ns.h, PROC_TIME_INIT_INO). */
const FIRST_TIME_NAMESPACE = 0xeffffffa;

let offset: number | undefined;

/**
 * How much later, in ms, a machine's boot time is in this time namespace (time_namespaces(7)), in which /proc
 * tells all times since boot. Others are to understand what is written of them.
 */
function bootOffset(): number {
  return offset ??=
    (findInode("/proc/self/ns/time") ?? FIRST_TIME_NAMESPACE) === FIRST_TIME_NAMESPACE
      ? 0
      : offsetIn(readProcFile("/proc/self/timens_offsets"));
}

function offsetIn(offsets: string): number {
  const [, seconds, nanoseconds] = /^boottime +(-?\d+) +(-?\d+)$/m.exec(offsets) ?? [];
  return Number(seconds ?? 0) * 1000 + Number(nanoseconds ?? 0) / 1e6;
}

/** What is read of /proc/PID/stat (proc_pid_stat(5)). */
export function parseStat(stat: string): { state: string; parent: number; startTime: number } {
  // The second field is the program's name in parentheses, which it may choose at will.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, parent: Number(fields[1]), startTime: Number(fields[19]) };
}

let boot: string | undefined;

/** The id of this boot; in a container of LXC's or nspawn's that container's own is mounted over it. */
export function bootId(): string {
  return boot ??= readProcFile("/proc/sys/kernel/random/boot_id").trim();
}

/**
 * How long ago, in ms, this machine was booted: a time of this boot that no setting of the clock
 * changes (CLOCK_BOOTTIME, proc_uptime(5)).
 */
export function uptime(): number {
  return Math.round(Number(readProcFile("/proc/uptime").split(" ")[0]) * 1000 - bootOffset());
}

/** When this machine was booted, in ms since 1970, as its clock has it today. */
export function bootTime(): number {
  const seconds = /^btime (\d+)$/m.exec(readProcFile("/proc/stat"))?.[1];
  return Number(seconds ?? 0) * 1000 + bootOffset();
}
