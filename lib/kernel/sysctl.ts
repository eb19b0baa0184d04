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

/** The settings of so many namespaces are reached by one /proc: its own cache grows with each. */
const NAMESPACES_OF_ONE = 32;

/** The /proc by which settings are reached, and of how many more namespaces. */
let proc: Handle | undefined;
let left = 0;

function openProc(): Handle {
  proc?.close();
  left = NAMESPACES_OF_ONE;
  return proc = openOwnProc() ?? open("/proc", O_PATH | O_DIRECTORY);
}

function openSetting(path: SysctlPath, flags: number): Handle {
  return openAt(proc ?? openProc(), `sys/${path}`, flags, `/proc/sys/${path}`);
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
  if (left-- === 0) openProc();
  inNamespaces({ net: netns }, work);
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
