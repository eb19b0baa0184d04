/** Locks between processes (flock(2)). The kernel frees them when their last holder dies. */
import { inodeOf, isGone, stateOf } from "./proc.ts";
import { dirname } from "@std/path";
import { check, openLibc, SystemError } from "./libc.ts";
import {
  type Handle,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  open,
  openAt,
  setInherited,
} from "./files.ts";
import { OperatorError } from "../base/error.ts";
import { withFile } from "../base/file_error.ts";
import { unless } from "../base/unless.ts";

/** Why no file can be made: no room or inode, quota, a file system that is read-only. */
const CANNOT_MAKE: readonly number[] = [28, 122, 30];

const libc = openLibc({ flock: { parameters: ["i32", "i32"], result: "i32" } });

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const EWOULDBLOCK = 11;

/** How often, in ms, a lock that is held is tried again: soon at first, then less often. */
const FIRST_PAUSE_MS = 0.5;
const LONGEST_PAUSE_MS = 8;

/** Of `shared` holders there may be many, of `exclusive` ones one, and then nobody else. */
export type LockKind = "shared" | "exclusive";

/** A lock that is held until its `using` block ends or this process does. */
export class FileLock implements Disposable {
  private constructor(readonly path: string, readonly handle: Handle) {}

  /**
   * Takes the lock if nobody holds it. Makes the file when it is not there; its directory must be.
   * Where none can be made (a full disk), a directory is locked in its stead: what only removes
   * things must not need a new file, and then waits for whoever is in the same need.
   *
   * @throws {SystemError}
   */
  static tryTake(
    path: string,
    mode = 0o600,
    kind: LockKind = "exclusive",
    inStead = dirname(path),
  ): FileLock | undefined {
    while (true) {
      const lock = FileLock.#tryHold(path, openOrMake(path, mode, inStead), kind);
      // The last holder may have removed the file between our open and our lock.
      if (!lock || isStillAt(path, lock.handle)) return lock;
      lock.handle.close();
    }
  }

  /** The same for a directory that is there, which needs no file. */
  static tryTakeDirectory(path: string, kind: LockKind): FileLock | undefined {
    return FileLock.#tryHold(path, open(path, O_DIRECTORY), kind);
  }

  static #tryHold(path: string, handle: Handle, kind: LockKind): FileLock | undefined {
    const result = libc().flock(handle.fd, (kind === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB);
    if (result === 0) return new FileLock(path, handle);
    handle.close();
    if (result === -EWOULDBLOCK) return undefined;
    throw new SystemError(-result, `lock ${path}`); // a file system without locks, say
  }

  /**
   * Takes the lock, waiting for other holders. It waits without blocking this process, where
   * another holder may be at work.
   *
   * @param mode of the file, when it is made
   * @param inStead the directory that is locked where it can't be
   * @returns undefined when it was still held after `timeoutMs`
   * @throws {OperatorError} `file`
   */
  static async take(
    path: string,
    timeoutMs: number,
    mode?: number,
    kind: LockKind = "exclusive",
    inStead?: string,
  ): Promise<FileLock | undefined> {
    const attempt = () => FileLock.tryTake(path, mode, kind, inStead);
    return await trying(timeoutMs, () => withFile("lock", path, attempt));
  }

  /** The same, where it is an error that `who` keeps holding it. @throws {OperatorError} `busy` */
  static async require(
    path: string,
    timeoutMs: number,
    who: string,
    kind?: LockKind,
  ): Promise<FileLock> {
    const lock = await FileLock.take(path, timeoutMs, undefined, kind);
    if (lock) return lock;
    throw new OperatorError("busy", `${who} keeps holding ${path}`);
  }

  /**
   * Runs `start`, and whatever program it starts before it first waits holds the lock too: when
   * this process is killed, the lock is not free before that program has ended.
   */
  heldByChildren<T extends { pid: number }>(start: () => T): T {
    setInherited(this.handle, true);
    try {
      return start();
    } finally {
      setInherited(this.handle, false);
    }
  }

  /** Removes the lock's file too, for a lock that nobody will need again; another's file stays. */
  remove(): void {
    // Of a directory that is locked in the file's stead, a file has been made since, by another.
    if (stateOf(this.handle.path).isDirectory) return;
    try {
      if (isStillAt(this.path, this.handle)) Deno.removeSync(this.path);
    } catch {
      // The file system is read-only, and it stays for the next call.
    }
  }

  [Symbol.dispose](): void {
    // Not only closed: a daemon that one of the children left behind has it open too.
    check(libc().flock(this.handle.fd, LOCK_UN), `unlock ${this.path}`);
    this.handle.close();
  }
}

/** Tries again and again, at first soon. @returns undefined if nothing came of it in `timeoutMs` */
export async function trying<T>(
  timeoutMs: number,
  attempt: () => T | undefined,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  let pause = FIRST_PAUSE_MS;
  while (true) {
    const result = attempt();
    if (result !== undefined || performance.now() > deadline) return result;
    await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Read only, which a lock needs no more than, and a file system that is read-only allows. */
function openOrMake(path: string, mode: number, inStead: string): Handle {
  using directory = open(dirname(path), O_DIRECTORY);
  const name = path.slice(path.lastIndexOf("/") + 1);
  try {
    return openAt(directory, name, O_CREAT | O_NOFOLLOW, path, mode);
  } catch (error) {
    if (!(error instanceof SystemError) || !CANNOT_MAKE.includes(error.errno)) throw error;
    // One that is there does without room.
    return unless(isGone, () => openAt(directory, name, O_NOFOLLOW, path)) ??
      open(inStead, O_DIRECTORY);
  }
}

function isStillAt(path: string, handle: Handle): boolean {
  return unless(isGone, () => {
    // A stat of /proc/self/fd/N follows to the open file.
    const opened = stateOf(handle.path);
    return opened.isDirectory || inodeOf(path) === opened.inode;
  }) ?? false;
}
