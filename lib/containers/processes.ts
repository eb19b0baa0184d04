/** Which processes are in which network namespace, as far as this one may see. */
import { readProcFile } from "../kernel/files.ts";

/** The inode of a namespace's handle, which is its identity; undefined for what can't be seen. */
export function namespaceInode(path: string): number | undefined {
  try {
    return Deno.statSync(path).ino ?? undefined;
  } catch {
    // It is gone, or the process ended while we looked, or it belongs to another user's root.
    return undefined;
  }
}

/** The pids of all processes, the lowest first. */
export function pids(): number[] {
  return [...Deno.readDirSync("/proc")]
    .flatMap(({ name }) => /^\d+$/.test(name) ? [Number(name)] : [])
    .sort((a, b) => a - b);
}

/** The pids in each network namespace, by the namespace's inode. One look at /proc. */
export function processesByNamespace(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const pid of pids()) {
    const inode = namespaceInode(`/proc/${pid}/ns/net`);
    if (inode === undefined) continue;
    const list = found.get(inode);
    if (list) list.push(pid);
    else found.set(inode, [pid]);
  }
  return found;
}

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
      for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/${pid}/fd/${name}`))?.[1];
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
  for (const pid of pids()) {
    try {
      for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
        if (Deno.readLinkSync(`/proc/${pid}/fd/${name}`) !== wanted) continue;
        return { pid, name: processName(pid) ?? "?" };
      }
    } catch {
      // It ended, or closed a file, while we looked; or it is another user's root's.
    }
  }
  return undefined;
}
