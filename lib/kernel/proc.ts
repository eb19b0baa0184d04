/**
 * What Deno tells of no file under /proc or /sys without `--allow-all`, and of none that a path leads to
 * through them: its state, where a link points, what a directory holds. (Deno 2.6 tells some of it, 2.9
 * nothing.)
 */
import { Handle, O_DIRECTORY, open } from "./files.ts";
import { check, cString, openLibc, SystemError } from "./libc.ts";
import { unless } from "../base/unless.ts";

const libc = openLibc({
  // int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *)
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});

const AT_FDCWD = -100;
/** linux/stat.h: struct statx, the same on every architecture. */
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const UID = 20;
const GID = 24;
const MODE = 28;
const INODE = 32;
const DEVICE_MAJOR = 136;
const DEVICE_MINOR = 140;
/** S_IFMT and its values (linux/stat.h). */
const TYPE = 0o170000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;
const SYMBOLIC_LINK = 0o120000;
/** linux/dirent.h: struct linux_dirent64. */
const ENTRY_LENGTH = 16;
const ENTRY_NAME = 19;
const LONGEST_LINK = 4096;

export type FileState = ReturnType<typeof stateOf>;

/** The state of what a path leads to, through links. @throws {SystemError} */
export function stateOf(path: string) {
  const buffer = new Uint8Array(STATX_BYTES);
  check(
    libc().statx(AT_FDCWD, cString(path), 0, STATX_BASIC_STATS, buffer),
    `read the state of ${path}`,
  );
  const view = new DataView(buffer.buffer);
  const mode = view.getUint16(MODE, true);
  return {
    /** The file system, as `major:minor`. */
    device: `${view.getUint32(DEVICE_MAJOR, true)}:${view.getUint32(DEVICE_MINOR, true)}`,
    inode: Number(view.getBigUint64(INODE, true)),
    /** Permission bits. */
    mode: mode & ~TYPE,
    uid: view.getUint32(UID, true),
    gid: view.getUint32(GID, true),
    isFile: (mode & TYPE) === REGULAR,
    isDirectory: (mode & TYPE) === DIRECTORY,
    /** Only of a handle that was opened so: a path is followed. */
    isSymlink: (mode & TYPE) === SYMBOLIC_LINK,
  };
}

/** The inode of what a path leads to: of a namespace's handle it is the identity. @throws {SystemError} */
export function inodeOf(path: string): number {
  return stateOf(path).inode;
}

/** The same, or undefined where nothing is there or nobody may look: another user's, or gone meanwhile. */
export function findInode(path: string): number | undefined {
  return unless(isOutOfSight, () => inodeOf(path));
}

/** What a symbolic link says, such as `net:[4026531840]`. @throws {SystemError} */
export function linkTarget(path: string): string {
  const buffer = new Uint8Array(LONGEST_LINK);
  const length = check(
    libc().readlink(cString(path), buffer, BigInt(buffer.length)),
    `read the link ${path}`,
  );
  return new TextDecoder().decode(buffer.subarray(0, Number(length)));
}

/** The names in a directory, in no order. @throws {SystemError} */
export function entriesOf(path: string): string[] {
  using directory = open(path, O_DIRECTORY);
  return [...entries(directory, path)];
}

/** The ids of a process's threads; none of one that is gone. */
export function threadsOf(pid: number): string[] {
  return unless(isOutOfSight, () => entriesOf(`/proc/${pid}/task`)) ?? [];
}

function* entries(directory: Handle, path: string): Generator<string> {
  const buffer = new Uint8Array(32 << 10);
  const view = new DataView(buffer.buffer);
  const decoder = new TextDecoder();
  while (true) {
    const length = Number(
      check(libc().getdents64(directory.fd, buffer, BigInt(buffer.length)), `list ${path}`),
    );
    if (length === 0) return;
    for (let at = 0; at < length; at += view.getUint16(at + ENTRY_LENGTH, true)) {
      const name = buffer.subarray(at + ENTRY_NAME, buffer.indexOf(0, at + ENTRY_NAME));
      const text = decoder.decode(name);
      if (text !== "." && text !== "..") yield text;
    }
  }
}

/** Whether a look at a path says that nothing is there, or no longer: a process that ended, say. */
export function isGone(error: unknown): boolean {
  return error instanceof SystemError && ["ENOENT", "ESRCH", "ENOTDIR"].includes(error.errnoName);
}

/** Whether a look at a path says either of these. */
export function isOutOfSight(error: unknown): boolean {
  return isGone(error) || isRefused(error);
}

/** Whether a look at a path was refused. */
export function isRefused(error: unknown): boolean {
  return error instanceof SystemError && ["EACCES", "EPERM"].includes(error.errnoName);
}
