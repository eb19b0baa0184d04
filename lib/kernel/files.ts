/**
 * Files by FFI: those under /proc and /sys, which Deno refuses to open without `--allow-all`
 * (the compiled program has a shorter list), and handles that are passed to other system calls.
 */
import { OperatorError } from "../base/error.ts";
import { check, cString, openLibc } from "./libc.ts";

const libc = openLibc({
  // int open(const char *path, int flags, mode_t mode): the mode only counts with O_CREAT.
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  mkdirat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  linkat: { parameters: ["i32", "buffer", "i32", "buffer", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
});

/** Flags of open(2), asm-generic/fcntl.h; the directory flags differ on arm64. */
const arm = Deno.build.arch === "aarch64";
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_NOCTTY = 0o400;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const O_DIRECTORY = arm ? 0o40000 : 0o200000;
export const O_NOFOLLOW = arm ? 0o100000 : 0o400000;

/** O_TMPFILE with the O_DIRECTORY that it implies. */
const O_TMPFILE = 0o20000000 | O_DIRECTORY;
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;

const F_SETFD = 2;
const F_SETFL = 4;
const X_OK = 1;
const EAGAIN = 11;
const FD_CLOEXEC = 1;

/** An open file, closed at the end of its `using` block. */
export class Handle implements Disposable {
  #open = true;
  constructor(readonly fd: number) {}

  /** The handle as a path, for calls that take no descriptor. */
  get path(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  close(): void {
    if (this.#open) libc().close(this.fd);
    this.#open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Of every file: closed on exec, and whoever has the other end of a pipe is not waited for. */
const ALWAYS = O_CLOEXEC | O_NONBLOCK;

/** Opens a file. @throws {SystemError} */
export function open(path: string, flags: number = O_RDONLY): Handle {
  return new Handle(check(libc().open(cString(path), flags | ALWAYS, 0), `open ${path}`));
}

/**
 * Opens a file below an open directory; `mode` is that of a file it makes (O_CREAT).
 *
 * @throws {SystemError} whose description is `what`
 */
export function openAt(dir: Handle, name: string, flags: number, what: string, mode = 0): Handle {
  const fd = libc().openat(dir.fd, cString(name), flags | ALWAYS, mode);
  return new Handle(check(fd, `open ${what}`));
}

/** Makes a directory below an open one. @throws {SystemError} whose description is `what` */
export function makeDirectoryAt(dir: Handle, name: string, mode: number, what: string): void {
  check(libc().mkdirat(dir.fd, cString(name), mode), `make ${what}`);
}

/** Removes a file below an open directory. @throws {SystemError} whose description is `what` */
export function removeAt(dir: Handle, name: string, what: string): void {
  check(libc().unlinkat(dir.fd, cString(name), 0), `remove ${what}`);
}

/**
 * Makes a file with its content at once: it has no name before it is complete.
 *
 * @param dir is on the file's file system
 * @param mark does what else there is to be done about the file first
 * @throws {SystemError} `EEXIST` where there is one of that name; `EOPNOTSUPP`, or `EISDIR` on old
 *   kernels, where the file system can't
 */
export function createWhole(
  dir: Handle,
  name: string,
  text: string,
  mode: number,
  what: string,
  mark: (file: Handle) => void = () => {},
) {
  using file = openAt(dir, ".", O_TMPFILE | O_RDWR, what, mode);
  write(file, text, what);
  mark(file);
  check(
    libc().linkat(AT_FDCWD, cString(file.path), dir.fd, cString(name), AT_SYMLINK_FOLLOW),
    `make ${what}`,
  );
}

/**
 * Reads to the end, or one byte over `limit`.
 *
 * @param read puts bytes into a buffer and says how many; nothing at the end
 */
export function readUpTo(
  limit: number,
  read: (buffer: Uint8Array<ArrayBuffer>) => number | null | undefined,
): Uint8Array<ArrayBuffer> {
  // Most files under /proc are a line, and a command that looks at each process reads thousands.
  let buffer = new Uint8Array(4 << 10);
  let length = 0;
  while (length <= limit) {
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(buffer.length * 8, limit + 1));
      larger.set(buffer);
      buffer = larger;
    }
    const count = read(buffer.subarray(length, limit + 1));
    if (!count) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

/** Far more than any file has that is read whole. */
const LONGEST = 64 << 20;

function readInto(buffer: Uint8Array<ArrayBuffer>, handle: Handle, what: string): number {
  return Number(check(libc().read(handle.fd, buffer, BigInt(buffer.length)), `read ${what}`));
}

function readBytes(handle: Handle, what: string, limit = LONGEST): Uint8Array<ArrayBuffer> {
  return readUpTo(limit, (buffer) => readInto(buffer, handle, what));
}

const decoder = new TextDecoder();

/** Reads a descriptor to its end, or one byte over `limit`, as text. @throws {SystemError} */
export function readAll(handle: Handle, what: string, limit?: number): string {
  return decoder.decode(readBytes(handle, what, limit));
}

/** As {@link readAll}, of a file on a disk: a read that leaves room was the last. @throws {SystemError} */
export function readRegular(handle: Handle, what: string): string {
  let isRead = false;
  return decoder.decode(readUpTo(LONGEST, (buffer) => {
    const count = isRead ? 0 : readInto(buffer, handle, what);
    isRead = count < buffer.length;
    return count;
  }));
}

/** As {@link readAll}. @throws {OperatorError} `file` for more than `limit` bytes */
export function readWhole(handle: Handle, what: string, limit: number): string {
  const bytes = readBytes(handle, what, limit);
  if (bytes.length <= limit) return decoder.decode(bytes);
  throw new OperatorError("file", `can't read ${what}: it has more than ${limit} bytes`);
}

/** The text of a file under /proc or /sys, or one byte over `limit` of it. @throws {SystemError} */
export function readProcFile(path: string, limit?: number): string {
  using handle = open(path);
  return readAll(handle, path, limit);
}

/** The bytes of a file under /proc or /sys. @throws {SystemError} */
export function readProcBytes(path: string): Uint8Array<ArrayBuffer> {
  using handle = open(path);
  return readBytes(handle, path);
}

export type Content = string | Uint8Array<ArrayBuffer>;

/** Writes all of `content` to a descriptor. */
export function write(handle: Handle, content: Content, what: string): void {
  let bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  while (bytes.length > 0) {
    const count = Number(
      check(libc().write(handle.fd, bytes, BigInt(bytes.length)), `write ${what}`),
    );
    bytes = bytes.subarray(count);
  }
}

/** A pipe whose ends are closed on exec. */
export function pipe(): { readEnd: Handle; writeEnd: Handle } {
  const ends = new Int32Array(2);
  check(libc().pipe2(new Uint8Array(ends.buffer), O_CLOEXEC), "make a pipe");
  return { readEnd: new Handle(ends[0]!), writeEnd: new Handle(ends[1]!) };
}

/** Gives an open file another number, in the place of what had it. @throws {SystemError} */
export function renumber(handle: Handle, fd: number, inherited: boolean): void {
  check(libc().dup3(handle.fd, fd, inherited ? 0 : O_CLOEXEC), `make ${fd} of a descriptor`);
}

/** Whether this thread may execute a file. */
export function isExecutable(path: string): boolean {
  return libc().access(cString(path), X_OK) === 0;
}

/** What is there to read, at most `buffer` holds: 0 at the end, undefined if nothing is there yet. */
export function readSome(handle: Handle, buffer: Uint8Array<ArrayBuffer>): number | undefined {
  return someOf(libc().read(handle.fd, buffer, BigInt(buffer.length)), "read from a stream");
}

/** Writes as much as there is room for; undefined if there is none. */
export function writeSome(handle: Handle, bytes: Uint8Array<ArrayBuffer>): number | undefined {
  return someOf(libc().write(handle.fd, bytes, BigInt(bytes.length)), "write to a stream");
}

function someOf(result: bigint, what: string): number | undefined {
  return Number(result) === -EAGAIN ? undefined : Number(check(result, what));
}

/** Lets neither reading nor writing wait. @throws {SystemError} */
export function setNonblocking(handle: Handle): void {
  check(libc().fcntl(handle.fd, F_SETFL, O_NONBLOCK), "keep a stream from waiting");
}

/** Whether programs that this process starts from now on inherit the descriptor. */
export function setInherited(handle: Handle, inherited: boolean): void {
  check(libc().fcntl(handle.fd, F_SETFD, inherited ? 0 : FD_CLOEXEC), "mark a file for exec");
}
