/** The network namespaces in which something lives, and what they hold. */
import { OperatorError } from "../../error.ts";
import { mounts } from "../../linux/mount.ts";
import { isNamespaceHandle } from "../../linux/namespaces.ts";
import { Netlink } from "../../linux/netlink/mod.ts";
import { processIds } from "../../linux/processes.ts";
import type { ContainerId } from "../../mesos/container_id.ts";
import type { Layout } from "../layout.ts";

/** What live networks use, so that it can't be garbage. */
export interface Living {
  /** Every address of every interface, without prefix length. */
  addresses: ReadonlySet<string>;
  /** Ids, in this namespace, of the live ones, as in a veth's `peerNamespaceId`. */
  namespaceIds: ReadonlySet<number>;
}

/** @param dead containers whose own handle keeps nothing alive */
export function findLiving(layout: Layout, dead: readonly ContainerId[]): Living {
  const addresses = new Set<string>();
  const namespaceIds = new Set<number>();
  using own = Netlink.open();
  for (const handle of liveHandles(layout, dead)) {
    try {
      using netlink = Netlink.open(handle);
      for (const { address } of netlink.addresses()) addresses.add(address);
      const id = own.namespaceId(handle);
      if (id !== undefined) namespaceIds.add(id);
    } catch (error) {
      // A process that ends while we look takes its handle along.
      if (!(error instanceof OperatorError)) throw error;
    }
  }
  return { addresses, namespaceIds };
}

/** One handle of each namespace that a process lives in, or that is mounted somewhere. */
function liveHandles(layout: Layout, dead: readonly ContainerId[]): string[] {
  const ofTheDead = dead.map((id) => layout.namespace(id));
  const byInode = new Map<number, string>();
  const mounted = mounts().filter((mount) => mount.type === "nsfs")
    .map((mount) => mount.mountPoint)
    .filter((path) => !ofTheDead.includes(path) && isNamespaceHandle(path));
  for (const handle of [...processIds().map((pid) => `/proc/${pid}/ns/net`), ...mounted]) {
    const inode = inodeOf(handle);
    if (inode !== undefined) byInode.set(inode, handle);
  }
  return [...byInode.values()];
}

function inodeOf(handle: string): number | undefined {
  try {
    return Deno.statSync(handle).ino ?? undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
}
