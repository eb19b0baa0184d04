/** Processes by name and by the sockets that they have open, as far as this one may see. */
import { unlessRefused } from "../base/unless.ts";
import { readProcFile } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import { entriesOf, linkTarget } from "../kernel/proc.ts";
import { processIds } from "../kernel/processes.ts";

/** The name of a process as `ps` shows it (at most 15 bytes); undefined once it has ended. */
export function processName(pid: number): string | undefined {
  return unlessRefused(() => readProcFile(`/proc/${pid}/comm`).trimEnd());
}

/** The sockets that processes have open, by inode. */
function* socketsOf(pids: readonly number[]): Generator<[inode: number, pid: number]> {
  for (const pid of pids) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(linkTarget(`/proc/${pid}/fd/${name}`))?.[1];
        if (inode !== undefined) yield [Number(inode), pid];
      }
    } catch (error) {
      // It ended, or closed a file, while we looked; or it is another user's root's.
      if (!(error instanceof SystemError)) throw error;
    }
  }
}

const named = (pid: number) => ({ pid, name: processName(pid) ?? "?" });

/** The first process of some that has each socket open, by the socket's inode. */
export function socketOwners(among: readonly number[]): Map<number, { pid: number; name: string }> {
  const found = new Map<number, { pid: number; name: string }>();
  for (const [inode, pid] of socketsOf(among)) {
    if (!found.has(inode)) found.set(inode, named(pid));
  }
  return found;
}

/** The process that has a socket open; undefined if none can be seen. */
export function socketOwner(inode: number): { pid: number; name: string } | undefined {
  const found = socketsOf(processIds()).find(([one]) => one === inode);
  return found && named(found[1]);
}
