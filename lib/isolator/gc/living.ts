/** The network namespaces in which something lives, and what they hold. */
import { inodeOf } from "../../kernel/proc.ts";
import { Pace } from "../../base/pace.ts";
import { readProcFile } from "../../kernel/files.ts";
import { SystemError } from "../../kernel/libc.ts";
import { type MountInfo, mounts } from "../../kernel/mount.ts";
import { isNamespaceHandle } from "../../kernel/namespaces.ts";
import { ProcessTable } from "../../kernel/processes.ts";
import { Netlink } from "../../netlink/mod.ts";
import type { ContainerId } from "../../mesos/container_id.ts";
import type { Layout } from "../../containers/layout.ts";

/** What live networks use, so that it can't be garbage. */
export interface Living {
  /** Every address of every interface, without prefix length. */
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
 * @param processes walked after what may be garbage was listed
 */
export async function findLiving(
  layout: Layout,
  alive: readonly ContainerId[],
  processes: ProcessTable,
): Promise<Living> {
  const addresses = new Set<string>();
  const namespaceIds = new Set<number>();
  const strangers = new Map<number, Set<string>>();
  let incomplete = false;
  const known = new Set<number>();
  using own = Netlink.open();
  const pace = new Pace();
  for (const handle of alive.map((id) => layout.namespace(id))) {
    if (isNamespaceHandle(handle)) known.add(inodeOf(handle));
    await pace.rest();
  }
  for (const [inode, handles] of await liveHandles(processes)) {
    handles.some((handle) => look(handle, !known.has(inode)));
    await pace.rest();
  }
  return { addresses, namespaceIds, strangers, incomplete };

  /** @returns false where there is no network to look at */
  function look(handle: string, isStranger: boolean): boolean {
    try {
      using netlink = Netlink.open(handle);
      const id = own.namespaceId(handle);
      const found = new Set<string>();
      if (id !== undefined) namespaceIds.add(id);
      if (id !== undefined && isStranger) strangers.set(id, found);
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
      if (isStranger) incomplete = true;
      return true;
    }
  }
}

/**
 * The handles of each namespace that a process lives in, or that is mounted somewhere. That of a dead
 * container is among them: what it has is its cleanup's to give back, and is told of with it.
 */
async function liveHandles(processes: ProcessTable): Promise<ReadonlyMap<number, string[]>> {
  const pace = new Pace();
  const byInode = new Map<number, string[]>();
  const add = (inode: number, handle: string) => {
    const others = byInode.get(inode);
    if (others) others.push(handle);
    else byInode.set(inode, [handle]);
  };
  // Mounts first: they don't go by themselves, as any one process of a container may.
  for (const path of [...networksIn(mounts()), ...mountsOfInit()]) {
    if (isNamespaceHandle(path)) add(inodeOf(path), path);
    await pace.rest();
  }
  for (const [inode, pids] of processes.namespaces) {
    for (const pid of pids.slice(0, MOST_HANDLES)) add(inode, `/proc/${pid}/ns/net`);
  }
  return byInode;
}

/** Processes of a namespace that are tried: the first may just have ended. */
const MOST_HANDLES = 100;

function networksIn(all: readonly MountInfo[]): string[] {
  return all.filter(({ type, root }) => type === "nsfs" && root.startsWith("net:"))
    .map(({ mountPoint }) => mountPoint);
}

/**
 * The handles that are mounted where process 1 is, as this process reaches them: one that was
 * started with mounts of its own does not see those that came later.
 */
function mountsOfInit(): string[] {
  try {
    if (inodeOf("/proc/1/ns/mnt") === inodeOf("/proc/self/ns/mnt")) return [];
    return networksIn(mounts(readProcFile("/proc/1/mountinfo")))
      .map((mountPoint) => `/proc/1/root${mountPoint}`);
  } catch (error) {
    // Without rights over process 1, its mounts are another user's.
    if (error instanceof SystemError) return [];
    throw error;
  }
}
