/**
 * Files that a crash or a power cut leaves either as they were or as they should be.
 *
 * Their modes are exactly those that are asked for, whatever the umask is: the umask of whoever
 * started this program must neither open root's state to others nor close a container's hosts file
 * to its users.
 */
import { basename, dirname, join } from "@std/path";
import { statOf } from "../base/exists.ts";
import { errnoName, fileError, withFile } from "../base/file_error.ts";
import {
  type Content,
  type Handle,
  makeDirectoryAt,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  open,
  openAt,
  readWhole,
  removeAt,
  write,
} from "./files.ts";
import { check, cString, openLibc } from "./libc.ts";
import { errno, unless } from "../base/unless.ts";

const libc = openLibc({
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  symlinkat: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  linkat: { parameters: ["i32", "buffer", "i32", "buffer", "i32"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  fsync: { parameters: ["i32"], result: "i32" },
});

const AT_FDCWD = -100;
/** -ENOENT and -ENAMETOOLONG */
const ABSENT: readonly number[] = [-2, -36];
/** -EINVAL and -ENOSYS */
const CANNOT_FLUSH: readonly number[] = [-22, -38];

/** What `rwxr-xr-x` directories and `rw-r--r--` files are made with, unless something else is said. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * Where a file is written before it gets its name. A crash may leave it, and the next write or
 * removal takes it away; nobody reads it. No network and no container has a name with a dot in
 * front, so that it can be nobody else's.
 */
function unfinished(name: string): string {
  return `.${name}.new`;
}

/**
 * Writes a file, in a directory that it makes if need be: to a temporary file, flushed to the
 * disk, then renamed, and the directory flushed.
 *
 * @throws {OperatorError} `file`; the file is then as it was before
 */
export function writeCheckpoint(path: string, content: Content, mode = FILE_MODE): void {
  replace(path, (dir, name) => {
    using file = makeFile(dir, name, content, path);
    setMode(file, mode, path);
    sync(file, path);
  });
}

/** Puts a symbolic link in the place of what is at `path`. @throws {OperatorError} `file` */
export function writeLink(path: string, target: string): void {
  replace(path, (dir, name) => {
    check(libc().symlinkat(cString(target), dir.fd, cString(name)), `make ${path}`);
  });
}

/** Gives what is at `from` a second name; of a symbolic link, the link itself. @throws {OperatorError} `file` */
export function writeName(path: string, from: string): void {
  replace(path, (dir, name) => {
    const made = libc().linkat(AT_FDCWD, cString(from), dir.fd, cString(name), 0);
    check(made, `make ${path}`);
  });
}

/**
 * Puts what `make` makes below a temporary name in the place of `path`, in one step. The directory is
 * opened once: another one that comes in its place meanwhile gets nothing.
 *
 * @param make gets a name at which nothing is, and must not follow a link that comes there
 * @throws {OperatorError} `file`; what was at `path` is then still there
 */
function replace(path: string, make: (dir: Handle, temporary: string) => void): void {
  withFile("write", path, () => {
    makeDirectory(dirname(path));
    using dir = open(dirname(path), O_DIRECTORY);
    replaceIn(dir, basename(path), path, (temporary) => make(dir, temporary));
  });
}

/**
 * As {@link replace}, in a directory that is open.
 *
 * @param path for errors
 * @param below where the temporary name is, on the same file system
 */
export function replaceIn(
  dir: Handle,
  name: string,
  path: string,
  make: (temporary: string) => void,
  below: Handle = dir,
): void {
  const temporary = unfinished(name);
  try {
    // What a crash has left is seldom there, and to look for it first takes as long as the file.
    const isMade = unless(errno("EEXIST"), () => {
      make(temporary);
      return true;
    });
    if (!isMade) {
      removeIn(below, temporary, path);
      make(temporary);
    }
    check(
      libc().renameat(below.fd, cString(temporary), dir.fd, cString(name)),
      `rename to ${path}`,
    );
  } catch (error) {
    try {
      removeIn(below, temporary, path);
    } catch {
      // The first error says more.
    }
    throw error;
  }
  sync(dir, path);
}

/**
 * Makes a file that only its maker may open. All that is done to it afterwards is done by this
 * descriptor: who else may write to the directory can put anything at its name.
 */
export function makeFile(dir: Handle, name: string, content: Content, path: string): Handle {
  const file = openAt(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, path, 0o600);
  try {
    write(file, content, path);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** @throws {SystemError} */
export function setMode(file: Handle, mode: number, path: string): void {
  check(libc().fchmod(file.fd, mode), `set the mode of ${path}`);
}

/** Flushes a file; of a directory, the names that were made or taken away in it. @throws {SystemError} */
export function sync(file: Handle, path: string): void {
  const result = libc().fsync(file.fd);
  // A file system that can't flush a directory, as some FUSE ones, has nothing better to offer.
  if (!CANNOT_FLUSH.includes(result)) check(result, `flush ${path}`);
}

function removeIn(dir: Handle, name: string, path: string): void {
  unless(errno("ENOENT"), () => removeAt(dir, name, path));
}

/**
 * Makes a directory, and those above it, with exactly this mode; one that is there stays as it is.
 *
 * @throws {OperatorError} `file`
 */
export function makeDirectory(path: string, mode = DIRECTORY_MODE): void {
  withFile("make the directory", path, () => {
    const there = statOf(path);
    if (there?.isDirectory === false) Deno.mkdirSync(path); // says what is wrong
    if (there) return;
    makeDirectory(dirname(path), DIRECTORY_MODE | (mode & 0o700));
    using parent = open(dirname(path), O_DIRECTORY);
    const name = basename(path);
    try {
      makeDirectoryAt(parent, name, 0o700, path);
    } catch (error) {
      if (errnoName(error) === "EEXIST") return; // somebody else has just made it
      throw error;
    }
    using made = openAt(parent, name, O_DIRECTORY | O_NOFOLLOW, path);
    setMode(made, mode, path);
    sync(parent, path);
  });
}

/** Bytes that no file of state has: a container may have written to a stock agent's hosts file. */
const LONGEST = 16 << 20;

/** The text of a file, or undefined if there is none. @throws {OperatorError} `file` */
export function readCheckpoint(path: string): string | undefined {
  try {
    // A pipe in its place is not waited for.
    using file = open(path);
    return readWhole(file, path, LONGEST);
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
    removeUnfinished(path);
    if (remove(path)) syncDirectory(dirname(path));
  });
}

/**
 * Removes what a crash may have left of a write, and not the file itself.
 *
 * @throws {Error} what the file system says
 */
export function removeUnfinished(path: string): void {
  remove(join(dirname(path), unfinished(basename(path))));
}

/**
 * Removes a directory with all that is in it, and nothing beside it; none is fine too.
 *
 * @throws {OperatorError} `file`
 */
export function removeDirectory(path: string): void {
  withFile("remove", path, () => {
    if (removeAll(path)) syncDirectory(dirname(path));
  });
}

/** @returns whether there was anything */
function remove(path: string): boolean {
  const result = libc().unlink(cString(path));
  if (result === 0 || ABSENT.includes(result)) return result === 0;
  // A directory in its place, or the runtime says why not.
  return removeAll(path);
}

/** The same with all that is in it. */
function removeAll(path: string): boolean {
  return unless(isAbsent, () => {
    Deno.removeSync(path, { recursive: true });
    return true;
  }) ?? false;
}

/** Nothing has a name that is longer than names can be: what could not be made is no hindrance. */
function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENAMETOOLONG"].includes(errnoName(error)!);
}

function syncDirectory(path: string): void {
  using directory = open(path, O_DIRECTORY);
  sync(directory, path);
}
