/**
 * Kernel settings (/proc/sys). The tree below `net` is that of the network namespace of the thread
 * that opens a file in it, so that those of a container are reached from inside of its namespace.
 */
import { messageOf } from "../base/error.ts";
import {
  type Handle,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  open,
  openAt,
  readAll,
  write,
} from "./files.ts";
import { inNamespaces } from "./namespaces.ts";
import { openOwnProc } from "./own_proc.ts";

/** A setting's path below /proc/sys, with slashes: names of interfaces may hold dots. */
export type SysctlPath = string;

/** The /proc by which the settings of another namespace are reached while this thread is there. */
let elsewhere: Handle | undefined;
/** The one for its own, opened at the first use. */
let own: Handle | undefined;

const openProc = () => openOwnProc() ?? open("/proc", O_PATH | O_DIRECTORY);

function openSetting(path: SysctlPath, flags: number): Handle {
  const proc = elsewhere ?? (own ??= openProc());
  return openAt(proc, `sys/${path}`, flags, `/proc/sys/${path}`);
}

/** @throws {SystemError} `ENOENT` where there is no such setting */
export function readSysctl(path: SysctlPath): string {
  using handle = openSetting(path, O_RDONLY);
  return readAll(handle, `/proc/sys/${path}`).trim();
}

/** Writes a setting, also where it has the value. @throws {SystemError} */
export function setSysctl(path: SysctlPath, value: string): void {
  using handle = openSetting(path, O_WRONLY);
  write(handle, value, `/proc/sys/${path}`);
}

/** Writes a setting unless it has the value. @throws {SystemError} */
export function writeSysctl(path: SysctlPath, value: string): void {
  if (readSysctl(path) !== value) setSysctl(path, value);
}

/**
 * Does synchronous work on the settings of a network namespace, given by the path of its handle.
 *
 * @throws {SystemError}
 */
export function withSysctlsOf(netns: string, work: () => undefined): void {
  using proc = openProc();
  inNamespaces({ net: netns }, () => {
    elsewhere = proc;
    try {
      return work();
    } finally {
      elsewhere = undefined;
    }
  });
}

/**
 * Writes settings that not every kernel has, or lets a container have.
 *
 * @returns what could not be written, with the reason
 */
export function tryWriteSysctls(settings: Iterable<readonly [SysctlPath, string]>): string[] {
  const failures: string[] = [];
  for (const [path, value] of settings) {
    try {
      setSysctl(path, value);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return failures;
}
