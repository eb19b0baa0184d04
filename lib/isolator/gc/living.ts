/** The network namespaces in which something lives, and what they hold. */
import { inodeOf } from "../../kernel/proc.ts";
import { Pace } from "../../base/pace.ts";
import { SystemError } from "../../kernel/libc.ts";
import { isNamespaceHandle } from "../../kernel/namespaces.ts";
import { Netlink } from "../../netlink/mod.ts";
import type { Sight } from "../../netlink/sight.ts";
import { readAttachment } from "../../containers/checkpoint.ts";
import type { ContainerId } from "../../mesos/container_id.ts";
import type { Layout } from "../../containers/layout.ts";

/** What live networks use, so that it can't be garbage. */
export interface Living {
  /**
   * Without prefix length: what known containers were given, and what every interface of strangers
   * has. A container may take any address, and that many.
   */
  addresses: ReadonlySet<string>;
  /** Ids, in this namespace, of the live ones, as in a veth's `peerNamespaceId`. */
  namespaceIds: ReadonlySet<number>;
  /** The ids of those that are no known container's, each with the addresses that were seen there. */
  strangers: ReadonlyMap<number, ReadonlySet<string>>;
  /**
   * Whether the namespace of a stranger changed all the time: it lives, and may have addresses that
   * were not seen. Those of a known container are its own by its id.
   */
  incomplete: boolean;
}

/**
 * What the handle of a process gives that has ended, or that this one has no rights over; and a
 * mounted handle of another kind of namespace.
 */
const NONE: readonly string[] = ["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"];

/**
 * @param alive containers that are known to live
 * @param sight from after what may be garbage was listed
 */
export async function findLiving(
  layout: Layout,
  alive: readonly ContainerId[],
  sight: Sight,
): Promise<Living> {
  const addresses = new Set<string>();
  const namespaceIds = new Set<number>();
  const strangers = new Map<number, Set<string>>();
  let incomplete = false;
  const known = new Set<number>();
  using own = Netlink.open();
  const pace = new Pace();
  for (const id of alive) {
    const handle = layout.namespace(id);
    if (isNamespaceHandle(handle)) known.add(inodeOf(handle));
    for (const attachment of layout.listAttachments(id)) {
      const { result } = readAttachment(layout, id, attachment);
      for (const { address } of result?.ips ?? []) addresses.add(address.split("/")[0]!);
    }
    await pace.rest();
  }
  for (const [inode, handles] of sight.handles()) {
    handles.some((handle) => look(handle, !known.has(inode)));
    await pace.rest();
  }
  return { addresses, namespaceIds, strangers, incomplete };

  /** @returns false where there is no network to look at */
  function look(handle: string, isStranger: boolean): boolean {
    try {
      const id = own.namespaceId(handle);
      if (id !== undefined) namespaceIds.add(id);
      if (!isStranger) return true;
      using netlink = Netlink.open(handle);
      const found = new Set<string>();
      if (id !== undefined) strangers.set(id, found);
      for (const { address } of netlink.addresses()) {
        addresses.add(address);
        found.add(address);
      }
      return true;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (NONE.includes(error.errnoName)) return false;
      // It changed each time while it was read: that one lives, and the others are looked at.
      if (error.errnoName !== "EBUSY") throw error; // no descriptors, say: all would look like garbage
      incomplete = true;
      return true;
    }
  }
}
