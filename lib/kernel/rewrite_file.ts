/**
 * Changing a file of somebody else's, in a directory where he may put anything at any name at any
 * time: all is done by descriptors of the one directory and the one file that were opened.
 */
import { basename, dirname } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { withFile } from "../base/file_error.ts";
import { makeFile, replaceIn, setMode, sync } from "./atomic_file.ts";
import {
  type Handle,
  makeDirectoryAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  openAt,
  readSome,
  readUpTo,
} from "./files.ts";
import { check, cString, openLibc, SystemError } from "./libc.ts";
import { stateOf } from "./proc.ts";
import { openWithoutLinks } from "./other_root.ts";
import { errno, unless } from "../base/unless.ts";

const libc = openLibc({
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  fchown: { parameters: ["i32", "u32", "u32"], result: "i32" },
  flistxattr: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  fgetxattr: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
  fsetxattr: { parameters: ["i32", "buffer", "buffer", "usize", "i32"], result: "i32" },
});

const AT_REMOVEDIR = 0x200;
const EINVAL = 22;
/** -EOPNOTSUPP: the file system has no extended attributes. */
const NO_ATTRIBUTES = -95n;
/** The kernel's limit of a list of names, and of a value (linux/limits.h, XATTR_LIST_MAX). */
const ATTRIBUTE_BYTES = 64 << 10;

/** What a file becomes. Undefined leaves it as it is. */
export interface Rewriting {
  /** What it was when somebody made up his mind: by now its name may lead to another file. */
  was: Uint8Array;
  /** Whether that is only the file's beginning. */
  isCut?: boolean;
  text?: string;
  mode?: number;
}

/**
 * Gives a file another text in one step: a reader sees the old one or the new one. Owner, mode and
 * extended attributes (access lists, security labels) stay; what a link leads to is changed, not the
 * link.
 *
 * @throws {OperatorError} `file`; the file is then as it was
 */
export function rewriteFile(path: string, { was, isCut = false, text, mode }: Rewriting): void {
  withFile("write", path, () => {
    const real = Deno.realPathSync(path);
    // A link that has come into the path since would lead to a directory of another's.
    using dir = openWithoutLinks(dirname(real), O_DIRECTORY);
    const name = basename(real);
    using old = openAt(dir, name, O_NOFOLLOW, path);
    const found = stateOf(old.path);
    if (!found.isFile) throw new SystemError(EINVAL, `write ${path}, no regular file`);
    if (!holds(old, was, isCut)) {
      throw new OperatorError("file", `${path} has changed since it was read: try again`);
    }
    if (text === undefined) return mode === undefined ? undefined : setMode(old, mode, path);
    // Who reads every file of the directory, as a Mesos agent does, reads none below it: a crash
    // leaves nothing that could be taken for one.
    using below = openWorkplace(dir, path);
    replaceIn(dir, name, path, (temporary) => {
      using file = makeFile(below, temporary, text, path);
      const what = `give ${path} its owner`;
      check(libc().fchown(file.fd, found.uid, found.gid), what);
      copyAttributes(old, file, path);
      // Last: an access list has a mode of its own.
      setMode(file, mode ?? found.mode, path);
      sync(file, path);
    }, below);
    removeWorkplace(dir);
  });
}

/** Whether a file has these bytes; `isBeginning`: and may have more. */
function holds(file: Handle, bytes: Uint8Array, isBeginning: boolean): boolean {
  const limit = isBeginning ? bytes.length - 1 : bytes.length;
  const found = readUpTo(limit, (buffer) => readSome(file, buffer));
  return found.length === bytes.length && found.every((byte, i) => byte === bytes[i]);
}

const WORKPLACE = ".mesos-cni.new";

function openWorkplace(dir: Handle, path: string): Handle {
  unless(errno("EEXIST"), () => makeDirectoryAt(dir, WORKPLACE, 0o700, path));
  return openAt(dir, WORKPLACE, O_DIRECTORY | O_NOFOLLOW, path);
}

/** Another call may be at work there as well. */
function removeWorkplace(dir: Handle): void {
  libc().unlinkat(dir.fd, cString(WORKPLACE), AT_REMOVEDIR);
}

function copyAttributes(from: Handle, to: Handle, path: string): void {
  const what = `keep the extended attributes of ${path}`;
  const buffer = new Uint8Array(ATTRIBUTE_BYTES);
  const size = BigInt(ATTRIBUTE_BYTES);
  const length = libc().flistxattr(from.fd, buffer, size);
  if (length === NO_ATTRIBUTES) return;
  const list = new TextDecoder().decode(buffer.slice(0, Number(check(length, what))));
  for (const name of list.split("\0").filter((name) => name !== "").map(cString)) {
    const bytes = check(libc().fgetxattr(from.fd, name, buffer, size), what);
    check(libc().fsetxattr(to.fd, name, buffer, BigInt(bytes), 0), what);
  }
}
