/**
 * Kernel settings (/proc/sys). The tree below `net` is that of the network namespace of the thread
 * that opens a file in it, so that those of a container are reached from inside of its namespace.
 */
import { messageOf } from "../base/error.ts";
import { readProcFile, writeProcFile } from "./files.ts";
import { inNamespaces } from "./namespaces.ts";

/** A setting's path below /proc/sys, with slashes: names of interfaces may hold dots. */
export type SysctlPath = string;

/** @throws {SystemError} `ENOENT` where there is no such setting */
export function readSysctl(path: SysctlPath): string {
  return readProcFile(`/proc/sys/${path}`).trim();
}

/** Writes a setting unless it has the value. @throws {SystemError} */
export function writeSysctl(path: SysctlPath, value: string): void {
  if (readSysctl(path) !== value) writeProcFile(`/proc/sys/${path}`, value);
}

/**
 * Does synchronous work on the settings of a network namespace, given by the path of its handle.
 *
 * @throws {SystemError}
 */
export function withSysctlsOf(netns: string, work: () => undefined): void {
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
      writeProcFile(`/proc/sys/${path}`, value);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return failures;
}
