/**
 * Where the isolator's state lies: the directories of a stock agent, so that either can clean up
 * after the other, and beside them the requests, which a stock agent keeps in memory only.
 *
 * ```
 * BASE/isolators/network/
 *   cni/ID/                                  shared with a stock agent
 *     ns  hosts  hostname  resolv.conf
 *     NETWORK/network.conf
 *     NETWORK/IFNAME/network.info
 *   mesos-cni/ID.json                        what was asked for: see request.ts
 *   mesos-cni/ID.lock                        see locks.ts
 *   mesos-cni/.sharing.lock                  see shared_directory.ts
 *   mesos-cni/.gc.lock                       see gc/plugins.ts
 *   mesos-cni/handles/ID                     see handles.ts
 * ```
 */
import { entriesIn, exists } from "../base/exists.ts";
import { join, resolve } from "@std/path";
import { type ContainerId, isContainerId } from "../mesos/container_id.ts";

/**
 * Of the directory of requests and that of handles: both are locked (while a lock is taken, and where no
 * file of a lock can be made), and only who may open a directory can hold that.
 */
export const REQUESTS_MODE = 0o700;

/** The base directory that a container's network namespace has its name in; undefined if it has none there. */
export function baseOf(netns: string, id: string): string | undefined {
  const handle = /^(.+)\/isolators\/network\/(?:cni\/([^/]+)\/ns|mesos-cni\/handles\/([^/]+))$/
    .exec(netns);
  return handle && (handle[2] ?? handle[3]) === id ? handle[1] : undefined;
}

/** All paths below one base directory (`--runtime_dir`, or `--work_dir`). */
export class Layout {
  /** The directory of containers, which a stock agent reads as such. */
  readonly containers: string;
  readonly requests: string;
  readonly #base: string;

  constructor(base: string) {
    // Links and mounts that lead here must do so from everywhere.
    this.#base = resolve(base);
    this.containers = join(this.#base, "isolators/network/cni");
    this.requests = join(this.#base, "isolators/network/mesos-cni");
  }

  container(id: ContainerId): string {
    return join(this.containers, id);
  }

  /** What a Mesos agent itself keeps of a container below its `--runtime_dir`, nested ones inside of their parents. */
  ofAgent(id: ContainerId): string {
    return join(this.#base, "containers", id.split(".").join("/containers/"));
  }

  /** The handle of the container's network namespace, where all others look for it. */
  link(id: ContainerId): string {
    return join(this.container(id), "ns");
  }

  /** The same, or what it led to if somebody has removed it: that goes on being the container's network. */
  namespace(id: ContainerId): string {
    const link = this.link(id);
    return exists(link) || !exists(this.handle(id)) ? link : this.handle(id);
  }

  /** Where the handles of network namespaces are mounted, and `ns` of a container leads. */
  get handles(): string {
    return join(this.requests, "handles");
  }

  handle(id: ContainerId): string {
    return join(this.handles, id);
  }

  /** The same as a link in the container's directory has it, true below any root. */
  handleFromContainer(id: ContainerId): string {
    return `../../mesos-cni/handles/${id}`;
  }

  get seal(): string {
    return join(this.handles, ".seal");
  }

  request(id: ContainerId): string {
    return join(this.requests, `${id}.json`);
  }

  /** Held by whoever works on the container. */
  lock(id: ContainerId): string {
    return join(this.requests, `${id}.lock`);
  }

  /** Held while the directory of containers is mounted. */
  get sharingLock(): string {
    return join(this.requests, ".sharing.lock");
  }

  /** Shared by whoever attaches to a network with GC, held alone by who calls that. */
  get collectionLock(): string {
    return join(this.requests, ".gc.lock");
  }

  /** Whether there is anything of a container, apart from its lock. */
  has(id: ContainerId): boolean {
    return [this.container(id), this.request(id)].some(exists);
  }

  /** The config that the plugin was, or is about to be, called with. */
  config(id: ContainerId, network: string): string {
    return join(this.container(id), network, "network.conf");
  }

  interface(id: ContainerId, network: string, ifName: string): string {
    return join(this.container(id), network, ifName);
  }

  /** The plugin's result. */
  result(id: ContainerId, network: string, ifName: string): string {
    return join(this.interface(id, network, ifName), "network.info");
  }

  /** The containers with a directory, sorted. */
  listContainers(): ContainerId[] {
    return names(this.containers, (entry) => entry.isDirectory).filter(isContainerId);
  }

  /** The containers with a request, sorted. */
  listRequests(): ContainerId[] {
    return names(this.requests, (entry) => entry.isFile)
      .filter((name) => name.endsWith(".json"))
      .map((name) => name.slice(0, -".json".length))
      .filter(isContainerId);
  }

  /**
   * The containers with anything beside the containers' directory, sorted: also with a handle, a
   * lock or an unfinished request, which are all that a crash may leave.
   */
  listTraces(): ContainerId[] {
    const ids = names(this.requests, (entry) => entry.isFile)
      .map((name) => /^(?:(.+)\.(?:json|lock)|\.(.+)\.json\.new)$/.exec(name))
      .map((match) => match?.[1] ?? match?.[2] ?? "");
    const handles = names(this.handles, (entry) => entry.isFile);
    return [...new Set([...ids, ...handles].filter(isContainerId))].sort();
  }

  /** Every interface whose DEL is still to come, eth0 first. */
  listAttachments(id: ContainerId): Attachment[] {
    return directories(this.container(id)).flatMap((network) =>
      directories(join(this.container(id), network)).map((ifName) => ({ network, ifName }))
    ).sort((a, b) => interfaceOrder(a.ifName, b.ifName));
  }
}

/** An interface of a container on a network. */
export interface Attachment {
  network: string;
  ifName: string;
}

function directories(path: string): string[] {
  return names(path, (entry) => entry.isDirectory);
}

function names(path: string, wanted: (entry: Deno.DirEntry) => boolean): string[] {
  return entriesIn(path).filter(wanted).map((entry) => entry.name).sort();
}

/** eth2 before eth10. */
function interfaceOrder(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
