/**
 * One operation at a time for each container, whichever process it is in. The plugins that an
 * operation starts hold its lock too: should the operation be killed, the next one waits for
 * them, so that no DEL overtakes an ADD.
 */
import { OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";

/** How long to wait for another process, in ms: longer than a plugin may take. */
const PATIENCE = 150_000;

export class Locks {
  /** The last operation of each container in this process. */
  readonly #last = new Map<ContainerId, Promise<unknown>>();
  readonly #held = new Map<ContainerId, FileLock>();

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
  start<R>(id: ContainerId, spawn: () => R): R {
    const lock = this.#held.get(id);
    return lock ? lock.heldByChildren(spawn) : spawn();
  }

  async #locked<R>(id: ContainerId, work: () => R | Promise<R>): Promise<R> {
    const path = this.layout.lock(id);
    Deno.mkdirSync(this.layout.requests, { recursive: true });
    using lock = await FileLock.take(path, PATIENCE);
    if (!lock) {
      throw new OperatorError(
        "busy",
        `container ${id} is being worked on by another process, which holds ${path} (if it is only ` +
          `a daemon that a plugin has left behind, see fuser ${path}, remove that file)`,
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
}
