/** The network namespaces in which something lives, and what they hold. */
import { SystemError } from "../../kernel/libc.ts";
import { mounts } from "../../kernel/mount.ts";
import { isNamespaceHandle } from "../../kernel/namespaces.ts";
import { Netlink } from "../../netlink/mod.ts";
import { isGone, processIds } from "../../kernel/processes.ts";
import type { ContainerId } from "../../mesos/container_id.ts";
import type { Layout } from "../../containers/layout.ts";

/** What live networks use, so that it can't be garbage. */
export interface Living {
  /** Every address of every interface, without prefix length. */
  addresses: ReadonlySet<string>;
  /** Ids, in this namespace, of the live ones, as in a veth's `peerNamespaceId`. */
  namespaceIds: ReadonlySet<number>;
}

/**
 * What the handle of a process gives that has ended, or that this one has no rights over; and a
 * mounted handle of another kind of namespace.
 */
const NONE: readonly string[] = ["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"];

/** @param dead containers whose own handle keeps nothing alive */
export function findLiving(layout: Layout, dead: readonly ContainerId[]): Living {
  const addresses = new Set<string>();
  const namespaceIds = new Set<number>();
  using own = Netlink.open();
  for (const handles of liveHandles(layout, dead)) {
    handles.some(look);
  }
  return { addresses, namespaceIds };

  /** @returns false where there is no network to look at */
  function look(handle: string): boolean {
    try {
      using netlink = Netlink.open(handle);
      for (const { address } of netlink.addresses()) addresses.add(address);
      const id = own.namespaceId(handle);
      if (id !== undefined) namespaceIds.add(id);
      return true;
    } catch (error) {
      // Any other error (no descriptors, say) would make what lives there look like garbage.
      if (error instanceof SystemError && NONE.includes(error.errnoName)) return false;
      throw error;
    }
  }
}

/** The handles of each namespace that a process lives in, or that is mounted somewhere. */
function liveHandles(layout: Layout, dead: readonly ContainerId[]): string[][] {
  const ofTheDead = dead.map((id) => layout.namespace(id));
  const byInode = new Map<number, string[]>();
  const mounted = mounts().filter((mount) => mount.type === "nsfs")
    .map((mount) => mount.mountPoint)
    .filter((path) => !ofTheDead.includes(path) && isNamespaceHandle(path));
  // Mounts first: they don't go by themselves, as any one process of a container may.
  for (const handle of [...mounted, ...processIds().map((pid) => `/proc/${pid}/ns/net`)]) {
    const inode = inodeOf(handle);
    if (inode === undefined) continue;
    const others = byInode.get(inode);
    if (others) others.push(handle);
    else byInode.set(inode, [handle]);
  }
  return [...byInode.values()];
}

function inodeOf(handle: string): number | undefined {
  try {
    return Deno.statSync(handle).ino ?? undefined;
  } catch (error) {
    if (isGone(error) || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
