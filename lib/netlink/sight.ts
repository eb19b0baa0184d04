/**
 * What can be seen from here of what lives. A network namespace goes on while a process, a mounted
 * handle or an open file holds it, and any of these may be where this process can't look: behind
 * another mount or pid namespace. What exists proves what holds it: of a pair of veths, either end
 * goes with the namespace of the other. What can't be seen proves nothing.
 */
import { tried, unlessRefused } from "../base/unless.ts";
import { readProcFile } from "../kernel/files.ts";
import { type MountInfo, mounts } from "../kernel/mount.ts";
import { namespaceAt } from "../kernel/namespaces.ts";
import { findInode, inodeOf } from "../kernel/proc.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { networkCookie } from "../kernel/socket.ts";
import { Netlink } from "./mod.ts";

/** Whether something goes on; `elsewhere`: that can't be told from here. Only what is gone is taken. */
export type Fate = "lives" | "gone" | "elsewhere";

/** The namespaces of a program by their inodes: what it makes is seen there. */
export interface Viewpoint {
  pid: number;
  mnt: number;
  net: number;
  /** Of the network namespace: what tells it from a later one of that inode. */
  netCookie?: string | undefined;
}

let own: Viewpoint | undefined;

/** The namespaces of this process. */
export function viewpoint(): Viewpoint {
  const inode = (kind: string) => inodeOf(`/proc/self/ns/${kind}`);
  return own ??= {
    ...{ pid: inode("pid"), mnt: inode("mnt"), net: inode("net") },
    netCookie: networkCookie(),
  };
}

/** Whether what a program has made on its host is in this program's network. */
export function isInNetworkOf({ net, netCookie }: Viewpoint): boolean {
  const here = viewpoint();
  return net === here.net &&
    (netCookie === undefined || [undefined, netCookie].includes(here.netCookie));
}

/** A network namespace as it is remembered. */
export interface Remembered {
  /** Path of its handle. */
  handle: string;
  inode?: number | undefined;
  /** What tells it from a later one of that inode; absent in records made before there was that. */
  cookie?: string | undefined;
  /** Indices of the veths in the maker's namespace whose other ends are in it. */
  wires?: readonly number[] | undefined;
  maker?: Viewpoint | undefined;
}

/** One look at the machine, for as many questions as come at that moment. */
export class Sight {
  #processes?: ProcessTable;
  #mounted = new Map<number, Map<string, number>>();
  readonly #networks = new Map<string, number>();
  #handles?: ReadonlyMap<number, readonly string[]>;
  #unseen?: boolean;
  #deadline?: number;

  /** @param processes walks /proc when it is first needed, if absent */
  constructor(processes?: ProcessTable) {
    this.#processes = processes;
  }

  get processes(): ProcessTable {
    return this.#processes ??= ProcessTable.lookNow();
  }

  /** The inode of the network namespace that a path is a handle of; what is none is looked at each time. */
  networkAt(handle: string): number | undefined {
    const known = this.#networks.get(handle) ?? namespaceAt(handle);
    if (known !== undefined) this.#networks.set(handle, known);
    return known;
  }

  /**
   * A sight of each network that a wire leads to; undefined where there is one that is not seen here.
   * The kernel takes the wires of one that has ended away in its own time.
   */
  static async ofAllThatLives(): Promise<Sight | undefined> {
    const deadline = performance.now() + LONGEST_END;
    while (true) {
      const sight = new Sight(await ProcessTable.look());
      if (!sight.#hasUnseenWires()) return sight;
      if (performance.now() > deadline) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** @throws {SystemError} */
  fateOf(network: Remembered): Fate {
    return this.#exists(network) ?? this.afterEndOf(network.maker);
  }

  /** What has ended is gone only where what its maker has made for it can be taken away. */
  afterEndOf(maker: Viewpoint | undefined): "gone" | "elsewhere" {
    return this.isInAnotherNetwork(maker) ? "elsewhere" : "gone";
  }

  /** Whether what a program makes is in another network than this one's, which goes on. */
  isInAnotherNetwork(maker: Viewpoint | undefined): boolean {
    if (maker === undefined || isInNetworkOf(maker)) return false;
    const handles = this.handles().get(maker.net) ?? [];
    return handles.some((handle) => !isLater(handle, maker.netCookie));
  }

  /** @returns undefined for a network that has ended */
  #exists({ handle, inode, cookie, wires = [], maker }: Remembered): Fate | undefined {
    const network = this.networkAt(handle);
    if (network !== undefined && [undefined, network].includes(inode)) {
      return isLater(handle, cookie) ? undefined : "lives";
    }
    const mounted = this.inodeMountedOn(handle, maker);
    if (mounted !== undefined && (inode === undefined || mounted === inode)) return "lives";
    if (!maker) return this.#hasUnseenWires() ? "elsewhere" : undefined;
    if (wires.length > 0 && isInNetworkOf(maker)) return this.#stays(wires) ? "lives" : undefined;
    if (maker.pid !== viewpoint().pid) return "elsewhere";
    const [pid] = this.processes.inNamespace(inode ?? 0);
    return pid !== undefined && !isLater(`/proc/${pid}/ns/net`, cookie) ? "lives" : undefined;
  }

  /**
   * The inode of the network namespace whose handle is mounted on a path, in a mount namespace of a
   * program that shares the maker's network (this one's, if that is not known): an agent's, whose
   * unit has a /tmp of its own, say. What containers have mounted is not asked.
   */
  inodeMountedOn(handle: string, maker = viewpoint()): number | undefined {
    // A handle of a runtime's is below /run; it may not be seen here at all.
    const path = tried(() => Deno.realPathSync(handle), handle);
    let mounted = this.#mounted.get(maker.net);
    if (!mounted) {
      mounted = new Map();
      this.#mounted.set(maker.net, mounted);
      for (const pid of onePerMounts(this.processes.inNamespace(maker.net))) {
        for (const { mountPoint, root } of networksIn(mountsOf(pid))) {
          mounted.set(mountPoint, Number(/^net:\[(\d+)\]$/.exec(root)?.[1]));
        }
      }
    }
    return mounted.get(path);
  }

  /**
   * The handles of each namespace that a process lives in, or that is mounted here or where process
   * 1 is, by inode. Mounts first: they don't go by themselves, as any one process may.
   */
  handles(): ReadonlyMap<number, readonly string[]> {
    return this.#handles ??= this.#findHandles();
  }

  #findHandles(): Map<number, string[]> {
    const byInode = new Map<number, string[]>();
    const init = isMountedElsewhere(1)
      ? networksIn(mountsOf(1)).map(({ mountPoint }) => `/proc/1/root${mountPoint}`)
      : [];
    for (const path of [...networksIn(mounts()).map(({ mountPoint }) => mountPoint), ...init]) {
      const inode = this.networkAt(path);
      if (inode === undefined) continue;
      byInode.set(inode, [...byInode.get(inode) ?? [], path]);
    }
    for (const [inode, pids] of this.processes.namespaces) {
      const handles = pids.slice(0, MOST_HANDLES).map((pid) => `/proc/${pid}/ns/net`);
      byInode.set(inode, [...byInode.get(inode) ?? [], ...handles]);
    }
    return byInode;
  }

  /** Whether any of these veths is there, and not about to go with a network that has ended. */
  #stays(wires: readonly number[]): boolean {
    this.#deadline ??= performance.now() + LONGEST_END;
    while (anyVeth(wires)) {
      if (performance.now() > this.#deadline) return true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    return false;
  }

  /** Whether a veth leads to a network that no process and no handle here is of. */
  #hasUnseenWires(): boolean {
    if (this.#unseen !== undefined) return this.#unseen;
    using host = Netlink.open();
    const leading = new Set(
      host.links().flatMap(({ kind, peerNamespaceId }) =>
        kind === "veth" ? peerNamespaceId ?? [] : []
      ),
    );
    if (leading.size > 0) {
      for (const handles of this.handles().values()) {
        leading.delete(namespaceIdOf(host, handles) ?? -1);
      }
    }
    return this.#unseen = leading.size > 0;
  }
}

/** Whether a namespace of a remembered one's inode is a later one: then the remembered one has ended. */
function isLater(handle: string, cookie: string | undefined): boolean {
  return cookie !== undefined && ![undefined, cookie].includes(networkCookie(handle));
}

/** How long, in ms, the end of a network may take. */
const LONGEST_END = 1_000;

/** Processes of a namespace that are tried: the first may just have ended. */
const MOST_HANDLES = 100;

function namespaceIdOf(host: Netlink, handles: readonly string[]): number | undefined {
  for (const handle of handles) {
    const found = unlessRefused(() => ({ id: host.namespaceId(handle) }));
    if (found) return found.id;
  }
  return undefined;
}

function anyVeth(indices: readonly number[]): boolean {
  using host = Netlink.open();
  return indices.some((index) => host.linkAt(index)?.kind === "veth");
}

/**
 * Of these processes, one for each mount namespace but this one's own. Not those of another user
 * namespace, as any user can make himself one: in it, he mounts what he likes wherever he likes.
 */
function onePerMounts(pids: readonly number[]): number[] {
  const byMounts = new Map<number, number>();
  const users = findInode("/proc/self/ns/user"); // none, on a kernel without user namespaces
  for (const pid of pids) {
    const inode = findInode(`/proc/${pid}/ns/mnt`);
    if (inode === undefined || byMounts.has(inode)) continue;
    if (findInode(`/proc/${pid}/ns/user`) === users) byMounts.set(inode, pid);
  }
  byMounts.delete(viewpoint().mnt);
  return [...byMounts.values()];
}

function isMountedElsewhere(pid: number): boolean {
  const inode = findInode(`/proc/${pid}/ns/mnt`);
  return inode !== undefined && inode !== viewpoint().mnt;
}

/** As the kernel tells them: nothing of that file system is looked at, which may be a container's. */
function mountsOf(pid: number): MountInfo[] {
  // None of one that has ended, or is another user's.
  return unlessRefused(() => mounts(readProcFile(`/proc/${pid}/mountinfo`))) ?? [];
}

function networksIn(all: readonly MountInfo[]): MountInfo[] {
  return all.filter(({ type, root }) => type === "nsfs" && root.startsWith("net:"));
}
