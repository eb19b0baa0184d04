/**
 * Addresses that live containers have and no lease names, as after somebody has removed the store:
 * they must not be given out again.
 */
import { SystemError } from "../../lib/kernel/libc.ts";
import { mounts } from "../../lib/kernel/mount.ts";
import { findInode } from "../../lib/kernel/proc.ts";
import { processIds } from "../../lib/kernel/processes.ts";
import { Netlink } from "../../lib/netlink/mod.ts";

const OWN = "/proc/self/ns/net";
/** How many namespaces are looked at before other work of this program gets its turn. */
const SLICE = 20;

/**
 * Every address of an interface whose other end, or whose device below, is in this namespace: those
 * of other hosts' containers, as in a test on one machine, are none of ours.
 */
export async function addressesInUse(): Promise<Set<string>> {
  const found = new Set<string>();
  let count = 0;
  for (const handle of namespaces()) {
    look(handle, found);
    if (++count % SLICE === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return found;
}

/** A handle of each namespace that a process lives in, or that is mounted. */
function namespaces(): Iterable<string> {
  const byInode = new Map<number, string>();
  const own = findInode(OWN);
  const mounted = mounts().filter(({ type }) => type === "nsfs").map((one) => one.mountPoint);
  for (const handle of [...mounted, ...processIds().map((pid) => `/proc/${pid}/ns/net`)]) {
    const inode = findInode(handle);
    if (inode !== undefined && inode !== own) byInode.set(inode, handle);
  }
  return byInode.values();
}

function look(handle: string, found: Set<string>): void {
  try {
    using netlink = Netlink.open(handle);
    const host = netlink.namespaceId(OWN);
    if (host === undefined) return;
    const ours = new Set(
      netlink.links().filter(({ peerNamespaceId }) => peerNamespaceId === host)
        .map(({ index }) => index),
    );
    for (const { link, address } of netlink.addresses()) if (ours.has(link)) found.add(address);
  } catch (error) {
    // It has gone, or is a handle of another kind.
    if (!(error instanceof SystemError)) throw error;
  }
}
