/** Files as processes with another root directory see them. */
import { stateOf } from "./proc.ts";
import { check, cString, openLibc, SystemError } from "./libc.ts";
import {
  Handle,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  open,
  openAt,
  readAll,
} from "./files.ts";

const libc = openLibc({
  // glibc has no function for openat2(2).
  openat2: {
    name: "syscall",
    parameters: ["i64", "i32", "buffer", "buffer", "usize"],
    result: "i64",
  },
});

const AT_FDCWD = -100;
/** Number of asm-generic/unistd.h, the same on every architecture. */
const SYS_OPENAT2 = 437n;
/** linux/openat2.h */
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_NO_SYMLINKS = 0x04n;
const RESOLVE_IN_ROOT = 0x10n;

/**
 * The text of a regular file below `root`. Whoever is at work there may have made anything of it:
 * links lead no further than to `root`, and neither a device nor a pipe is opened, which could have
 * an effect, or be waited for without end.
 *
 * @param root such as `/proc/PID/root`
 * @param path below it, such as `etc/hosts`
 * @param limit bytes that are read at most, or some KiB more
 * @throws {SystemError} also for what is no regular file
 */
export function readInRoot(root: string, path: string, limit: number): string {
  const what = `${root}/${path}`;
  using directory = open(root, O_PATH | O_DIRECTORY);
  using found = find(directory, path, what);
  if (!stateOf(found.path).isFile) throw new SystemError(22, `read ${what}, no regular file`);
  using file = open(found.path);
  return readAll(file, what, limit);
}

/** Opens a path none of whose parts is a symbolic link. @throws {SystemError} `ELOOP` if one is */
export function openWithoutLinks(path: string, flags: number): Handle {
  try {
    return openResolved(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS, path);
  } catch (error) {
    // Linux before 5.6 has no such call: then only the last part is looked at.
    if (!(error instanceof SystemError) || error.errnoName !== "ENOSYS") throw error;
    return open(path, flags | O_NOFOLLOW);
  }
}

function find(root: Handle, path: string, what: string): Handle {
  try {
    return openResolved(root.fd, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, what);
  } catch (error) {
    // Links are then not followed at all.
    if (!(error instanceof SystemError) || error.errnoName !== "ENOSYS") throw error;
    return findWithoutLinks(root, path, what);
  }
}

function openResolved(
  dir: number,
  path: string,
  flags: number,
  resolve: bigint,
  what: string,
): Handle {
  const how = new Uint8Array(new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, resolve]).buffer);
  const fd = libc().openat2(SYS_OPENAT2, dir, cString(path), how, BigInt(how.length));
  return new Handle(Number(check(fd, `open ${what}`)));
}

function findWithoutLinks(root: Handle, path: string, what: string): Handle {
  const names = path.split("/");
  const last = names.pop()!;
  let directory = root;
  try {
    for (const name of names) {
      const next = openAt(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, what);
      if (directory !== root) directory.close();
      directory = next;
    }
    return openAt(directory, last, O_PATH | O_NOFOLLOW, what);
  } finally {
    if (directory !== root) directory.close();
  }
}
