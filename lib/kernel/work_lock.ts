/**
 * A lock of work in which programs take part that the holder starts: they hold it too, so that it is
 * not free while one is at work whose starter was killed. A daemon that such a program leaves behind
 * inherits the lock as well, and keeps it for as long as it lives. So the lock's file says who works,
 * and is given up once nobody of these lives, by a process's start and not by a clock.
 *
 * Its directory is root's alone: whoever may open a directory may lock it, and keep all others waiting.
 * The same is true of the directory that is locked in the file's stead, where no file can be made.
 */
import { dirname } from "@std/path";
import { isObject } from "../base/json.ts";
import { log } from "../base/log.ts";
import { O_WRONLY, open, write } from "./files.ts";
import { inodeOf } from "./proc.ts";
import { FileLock, trying } from "./lock.ts";
import { identify, isRunning, type ProcessIdentity, uptime } from "./process_identity.ts";
import { tried, unlessRefused } from "../base/unless.ts";

/**
 * How long, in ms since its start, a program may be at work of which is not known who it is, since its
 * starter was killed at that very moment: longer than any may take.
 */
export const LONGEST_WORK_MS = 240_000;

/** Bytes that each account is filled up to: it is overwritten at once, and never shorter for a moment. */
const ACCOUNT_BYTES = 512;

/** What the file says. */
interface Account {
  /** Inode of the pid namespace that the numbers are of. */
  pids: number;
  workers: ProcessIdentity[];
  /** When a program was being started, in ms since boot. */
  starting?: number;
}

/** This process, and its pid namespace: neither changes. */
let own: ProcessIdentity | undefined;
let ownPids: number | undefined;

export class WorkLock implements Disposable {
  readonly #workers = [own ??= identify(Deno.pid)!];

  private constructor(private readonly lock: FileLock, private readonly isLast: boolean) {}

  get path(): string {
    return this.lock.path;
  }

  /**
   * Takes the lock if nobody works. Its directory must be there.
   *
   * @param isLast whether its file goes with it, as nobody will need it again
   * @param inStead the directory that is locked where no file can be made: not the file's own
   * @throws {SystemError}
   */
  static tryTake(
    path: string,
    isLast = false,
    inStead = dirname(dirname(path)),
  ): WorkLock | undefined {
    // Whoever finds a lock held and nobody at work must not meet one that was just taken.
    using guard = FileLock.tryTakeDirectory(dirname(path), "shared");
    const lock = guard && FileLock.tryTake(path, undefined, undefined, inStead);
    if (!lock) return undefined;
    const taken = new WorkLock(lock, isLast);
    taken.#write();
    return taken;
  }

  /**
   * Takes the lock, waiting for others' work.
   *
   * @returns undefined when others were still at work after `timeoutMs`
   * @throws {SystemError}
   */
  static take(
    path: string,
    timeoutMs: number,
    isLast = false,
    inStead?: string,
  ): Promise<WorkLock | undefined> {
    return trying(timeoutMs, () => {
      const taken = WorkLock.tryTake(path, isLast, inStead);
      if (!taken) giveUp(path);
      return taken;
    });
  }

  /** Starts a program that takes part in the work. */
  heldByChildren<T extends { pid: number }>(start: () => T): T {
    this.#write(uptime());
    const child = this.lock.heldByChildren(start);
    const identity = identify(child.pid);
    if (identity) this.#workers.push(identity);
    this.#write();
    return child;
  }

  #write(starting?: number): void {
    const account: Account = { pids: pidNamespace(), workers: this.#workers.slice(-3), starting };
    // Removal goes on without room on the disk: then the lock is not given up while anyone has it.
    unlessRefused(() => {
      using file = open(this.lock.handle.path, O_WRONLY);
      write(file, JSON.stringify(account).padEnd(ACCOUNT_BYTES), this.path);
    });
  }

  /** Removes the lock's file too, for a lock that nobody will need again. */
  remove(): void {
    this.lock.remove();
  }

  [Symbol.dispose](): void {
    if (this.isLast) this.remove();
    this.lock[Symbol.dispose]();
  }
}

function pidNamespace(): number {
  return ownPids ??= inodeOf("/proc/self/ns/pid");
}

/** Takes the name from a lock that only programs hold which were left behind. */
function giveUp(path: string): void {
  if (!isAbandoned(path)) return;
  using guard = FileLock.tryTakeDirectory(dirname(path), "exclusive");
  // While this is held, nobody takes the lock, nor gives it up.
  if (!guard || !isAbandoned(path)) return;
  const held = FileLock.tryTake(path);
  if (held) return held[Symbol.dispose]();
  log.warning("a lock that a program left behind still holds is given up", { lock: path });
  Deno.removeSync(path);
}

function isAbandoned(path: string): boolean {
  // Nothing may be known of it, or it is gone.
  const account: unknown = tried(() => JSON.parse(Deno.readTextFileSync(path)), undefined);
  if (!isObject(account) || !Array.isArray(account.workers)) return false;
  const { pids, workers, starting } = account as unknown as Account;
  if (pids !== pidNamespace() || workers.some(isRunning)) return false;
  return starting === undefined || uptime() - starting > LONGEST_WORK_MS;
}
