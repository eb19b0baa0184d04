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

/** How long, in ms, to go through what processes have open: a container may have millions of descriptors. */
const LONGEST_LOOK = 3_000;

/** The sockets that processes have open, by inode, as far as they are seen in time. */
function* socketsOf(pids: readonly number[]): Generator<[inode: number, pid: number]> {
  const deadline = performance.now() + LONGEST_LOOK;
  for (const pid of pids) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fd`)) {
        if (performance.now() > deadline) return;
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

/** The first process of some that is seen to have each of these sockets open, by the socket's inode. */
export function socketOwners(
  inodes: Iterable<number>,
  among: readonly number[],
): Map<number, { pid: number; name: string }> {
  const found = new Map<number, { pid: number; name: string }>();
  const sought = new Set(inodes);
  sought.delete(0); // closed: no process has it any more
  if (sought.size === 0) return found;
  for (const [inode, pid] of socketsOf(among)) {
    if (sought.delete(inode)) found.set(inode, named(pid));
    if (sought.size === 0) break;
  }
  return found;
}

/** The process that has a socket open; undefined if none can be seen. */
export function socketOwner(inode: number): { pid: number; name: string } | undefined {
  const found = socketsOf(processIds()).find(([one]) => one === inode);
  return found && named(found[1]);
}
