/** Processes by name and by the sockets that they have open, as far as this one may see. */
import { readProcFile } from "../kernel/files.ts";
import { entriesOf, linkTarget } from "../kernel/proc.ts";
import { processIds } from "../kernel/processes.ts";

/** The name of a process as `ps` shows it (at most 15 bytes); undefined once it has ended. */
export function processName(pid: number): string | undefined {
  try {
    return readProcFile(`/proc/${pid}/comm`).trimEnd();
  } catch {
    return undefined;
  }
}

/** The first process of some that has each socket open, by the socket's inode. */
export function socketOwners(among: readonly number[]): Map<number, { pid: number; name: string }> {
  const found = new Map<number, { pid: number; name: string }>();
  for (const pid of among) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(linkTarget(`/proc/${pid}/fd/${name}`))?.[1];
        if (inode === undefined || found.has(Number(inode))) continue;
        found.set(Number(inode), { pid, name: processName(pid) ?? "?" });
      }
    } catch {
      // It ended, or closed a file, while we looked; or it is another user's root's.
    }
  }
  return found;
}

/** The process that has a socket open; undefined if none can be seen. */
export function socketOwner(inode: number): { pid: number; name: string } | undefined {
  const wanted = `socket:[${inode}]`;
  for (const pid of processIds()) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fd`)) {
        if (linkTarget(`/proc/${pid}/fd/${name}`) !== wanted) continue;
        return { pid, name: processName(pid) ?? "?" };
      }
    } catch {
      // It ended, or closed a file, while we looked; or it is another user's root's.
    }
  }
  return undefined;
}
