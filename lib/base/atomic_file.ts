/**
 * Files that a crash or a power cut leaves either as they were or as they should be.
 *
 * Their modes are exactly those that are asked for, whatever the umask is: the umask of whoever
 * started this program must neither open root's state to others nor close a container's hosts file
 * to its users.
 */
import { basename, dirname, join } from "@std/path";
import { OperatorError } from "./error.ts";
import { exists } from "./exists.ts";
import { errnoName, fileError, withFile } from "./file_error.ts";

/** What `rwxr-xr-x` directories and `rw-r--r--` files are made with, unless something else is said. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * Where a file is written before it gets its name. A crash may leave it, and the next write or
 * removal takes it away; nobody reads it. No network and no container has a name with a dot in
 * front, so that it can be nobody else's.
 */
function unfinished(path: string): string {
  return join(dirname(path), `.${basename(path)}.new`);
}

/** What earlier versions called it; {@link removeCheckpoint} still takes it away. */
function unfinishedBefore(path: string): string {
  return `${path}.new`;
}

/**
 * Writes a file, in a directory that it makes if need be: to a temporary file, flushed to the
 * disk, then renamed, and the directory flushed.
 *
 * @throws {OperatorError} `file`; the file is then as it was before
 */
export function writeCheckpoint(path: string, text: string, mode = FILE_MODE): void {
  replaceFile(path, (temporary) => {
    // Exclusively: whatever is at the name, a link to somewhere else say, is not written to.
    using file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
    Deno.chmodSync(temporary, mode);
    file.syncSync();
  });
}

/**
 * Puts what `make` leaves at a temporary path in the place of `path`, in one step.
 *
 * @param make gets a path at which nothing is, and must not follow a link that comes there
 * @throws {OperatorError} `file`; what was at `path` is then still there
 */
export function replaceFile(path: string, make: (temporary: string) => void): void {
  makeDirectory(dirname(path));
  const temporary = unfinished(path);
  try {
    remove(temporary);
    make(temporary);
    Deno.renameSync(temporary, path);
    syncDirectory(dirname(path));
  } catch (error) {
    try {
      remove(temporary);
    } catch {
      // The first error says more.
    }
    throw fileError(error, "write", path);
  }
}

/**
 * Makes a directory, and those above it, with exactly this mode; one that is there stays as it is.
 *
 * @throws {OperatorError} `file`
 */
export function makeDirectory(path: string, mode = DIRECTORY_MODE): void {
  withFile("make the directory", path, () => {
    if (exists(path)) {
      if (!Deno.statSync(path).isDirectory) Deno.mkdirSync(path); // says what is wrong
      return;
    }
    makeDirectory(dirname(path), DIRECTORY_MODE | (mode & 0o700));
    try {
      Deno.mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if (errnoName(error) === "EEXIST") return; // somebody else has just made it
      throw error;
    }
    Deno.chmodSync(path, mode);
    syncDirectory(dirname(path));
  });
}

/** Bytes that no file of state has: a container may have written to a stock agent's hosts file. */
const LONGEST = 16 << 20;

/**
 * The text of a file, or undefined if there is none.
 *
 * @throws {OperatorError} `file`
 */
export function readCheckpoint(path: string): string | undefined {
  try {
    if (Deno.statSync(path).size > LONGEST) {
      throw new OperatorError("file", `can't read ${path}: it has more than ${LONGEST} bytes`);
    }
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw fileError(error, "read", path);
  }
}

/**
 * Removes a file, with what a crash may have left of its write; none is fine too. It needs no
 * space on the disk.
 *
 * @throws {OperatorError} `file`
 */
export function removeCheckpoint(path: string): void {
  withFile("remove", path, () => {
    remove(unfinishedBefore(path));
    remove(unfinished(path));
    if (remove(path)) syncDirectory(dirname(path));
  });
}

/**
 * Removes what a crash may have left of a write of {@link replaceFile}, and not the file itself.
 *
 * @throws {Error} what the file system says
 */
export function removeUnfinished(path: string): void {
  remove(unfinished(path));
}

/**
 * Removes a directory with all that is in it, and nothing beside it; none is fine too.
 *
 * @throws {OperatorError} `file`
 */
export function removeDirectory(path: string): void {
  withFile("remove", path, () => {
    if (remove(path)) syncDirectory(dirname(path));
  });
}

/** @returns whether there was anything */
function remove(path: string): boolean {
  try {
    Deno.removeSync(path, { recursive: true });
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** Nothing has a name that is longer than names can be: what could not be made is no hindrance. */
function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || errnoName(error) === "ENAMETOOLONG";
}

/** Flushes a directory: a name that was made or taken away in it is so after a power cut too. */
function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  try {
    directory.syncSync();
  } catch (error) {
    // A file system that can't flush a directory, as some FUSE ones, has nothing better to offer.
    if (errnoName(error) !== "EINVAL" && errnoName(error) !== "ENOSYS") throw error;
  }
}
