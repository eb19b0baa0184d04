/**
 * One operation at a time for each container, whichever process it is in. The plugins that an
 * operation starts hold its lock too: should the operation be killed, the next one waits for
 * them, so that no DEL overtakes an ADD.
 */
import { OperatorError } from "../base/error.ts";
import { exists } from "../base/exists.ts";
import { unlessRefused } from "../base/unless.ts";
import { makeDirectory, readCheckpoint, setMode } from "../kernel/atomic_file.ts";
import { O_DIRECTORY, open } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import { stateOf } from "../kernel/proc.ts";
import { WorkLock } from "../kernel/work_lock.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { type Layout, REQUESTS_MODE } from "./layout.ts";

/** How long one plugin may take, in ms, and what an operation takes besides. */
const LONGEST_PLUGIN = 60_000;
const SLACK = 30_000;

/** How many plugins the config of an attachment lists; none where it can't be read. */
function pluginsIn(layout: Layout, id: ContainerId, network: string): number {
  try {
    const { plugins } = JSON.parse(readCheckpoint(layout.config(id, network)) ?? "{}");
    return Array.isArray(plugins) ? plugins.length : 1;
  } catch {
    // Its damage is told by the operation that the lock is for.
    return 1;
  }
}

export class Locks {
  /** The last operation of each container in this process. */
  readonly #last = new Map<ContainerId, Promise<unknown>>();
  readonly #held = new Map<ContainerId, WorkLock>();

  constructor(private readonly layout: Layout) {}

  /** Does `work` after all work on this container that came before. */
  async hold<R>(id: ContainerId, work: () => R | Promise<R>): Promise<R> {
    const before = this.#last.get(id);
    const result = (async () => {
      await before?.catch(() => {}); // whoever asked for it hears of it
      return await this.#locked(id, work);
    })();
    this.#last.set(id, result);
    try {
      return await result;
    } finally {
      if (this.#last.get(id) === result) this.#last.delete(id);
    }
  }

  /** Starts a program for a container whose lock is held; the program then holds it too. */
  start<R extends { pid: number }>(id: ContainerId, spawn: () => R): R {
    const lock = this.#held.get(id);
    return lock ? lock.heldByChildren(spawn) : spawn();
  }

  async #locked<R>(id: ContainerId, work: () => R | Promise<R>): Promise<R> {
    const path = this.layout.lock(id);
    using lock = await this.#take(id, path);
    if (!lock) {
      throw new OperatorError(
        "busy",
        `container ${id} is being worked on by another process, which holds ${path} ` +
          `(see fuser -v ${path}); try again later`,
      );
    }
    this.#held.set(id, lock);
    try {
      return await work();
    } finally {
      this.#held.delete(id);
      if (!this.layout.has(id)) lock.remove();
    }
  }

  async #take(id: ContainerId, path: string): Promise<WorkLock | undefined> {
    const { requests, handles } = this.layout;
    makeDirectory(requests, REQUESTS_MODE);
    closeToOthers(requests);
    // Made before it is needed, in the stead of a file that can't be made any more.
    unlessRefused(() => makeDirectory(handles, REQUESTS_MODE));
    const inStead = exists(handles) ? handles : undefined;
    return WorkLock.tryTake(path, false, inStead) ??
      await WorkLock.take(path, patienceFor(this.layout, id), false, inStead);
  }
}

/** An older version's directory is open to all, and whoever opens it can lock it and keep all work waiting. */
function closeToOthers(directory: string): void {
  using handle = open(directory, O_DIRECTORY);
  const { mode, uid } = stateOf(handle.path);
  if (uid !== 0 || mode === REQUESTS_MODE) return;
  try {
    setMode(handle, REQUESTS_MODE, directory);
  } catch (error) {
    // A file system that is read-only keeps it as it is, and what is removed must go on.
    if (!(error instanceof SystemError)) throw error;
  }
}

/**
 * How long, in ms, another operation on a container is waited for: longer than the plugins of its
 * longest list may take, one after the other.
 */
export function patienceFor(layout: Layout, id: ContainerId): number {
  const networks = layout.listAttachments(id).map(({ network }) => network);
  const longest = Math.max(2, ...networks.map((network) => pluginsIn(layout, id, network)));
  return longest * LONGEST_PLUGIN + SLACK;
}
