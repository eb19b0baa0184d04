/**
 * A /proc of one's own (fsopen(2), fsmount(2)).
 *
 * Of a name that every network namespace has, such as /proc/sys/net/ipv4, the kernel keeps one entry
 * for each namespace in one place of its cache, and looks through all of them at each use: with
 * thousands of containers a look takes milliseconds. A new mount of the file system begins with
 * nothing in the cache. It is attached nowhere, and goes with its descriptor.
 */
import { unlessRefused } from "../base/unless.ts";
import { check, cString, openLibc } from "./libc.ts";
import { Handle } from "./files.ts";

const libc = openLibc({
  // glibc has functions for these since 2.36 only.
  fsopen: { name: "syscall", parameters: ["i64", "buffer", "u32"], result: "i64" },
  fsconfig: {
    name: "syscall",
    parameters: ["i64", "i32", "u32", "pointer", "pointer", "i32"],
    result: "i64",
  },
  fsmount: { name: "syscall", parameters: ["i64", "i32", "u32", "u32"], result: "i64" },
});

/** Numbers of asm-generic/unistd.h, the same on every architecture. */
const SYS_FSOPEN = 430n;
const SYS_FSCONFIG = 431n;
const SYS_FSMOUNT = 432n;
/** linux/mount.h */
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

/** The directory of a new instance; undefined where the kernel (before 5.8) or a user namespace has none. */
export function openOwnProc(): Handle | undefined {
  const what = "mount /proc anew";
  return unlessRefused(() => {
    const fs = check(libc().fsopen(SYS_FSOPEN, cString("proc"), FSOPEN_CLOEXEC), what);
    using context = new Handle(Number(fs));
    check(libc().fsconfig(SYS_FSCONFIG, context.fd, FSCONFIG_CMD_CREATE, null, null, 0), what);
    const mount = check(libc().fsmount(SYS_FSMOUNT, context.fd, FSMOUNT_CLOEXEC, 0), what);
    return new Handle(Number(mount));
  });
}
