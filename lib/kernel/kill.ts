/** Ending processes by what they are and not by their numbers (pidfd_open(2)). */
import { Handle } from "./files.ts";
import { check, openLibc } from "./libc.ts";
import { errno, unless } from "../base/unless.ts";

const libc = openLibc({
  // glibc has functions for these since 2.36 only.
  pidfd_open: { name: "syscall", parameters: ["i64", "i32", "u32"], result: "i64" },
  pidfd_send_signal: {
    name: "syscall",
    parameters: ["i64", "i32", "i32", "pointer", "u32"],
    result: "i64",
  },
});

/** Numbers of asm-generic/unistd.h, the same on every architecture. */
const SYS_PIDFD_OPEN = 434n;
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SIGKILL = 9;

/**
 * Kills a process of which something is true. One of which it is not, since the number that was seen is
 * another's by now, is left alone.
 *
 * @param holds asked when whoever has the number can't get another one's
 * @throws {SystemError}
 */
export function killWhere(pid: number, holds: (pid: number) => boolean): void {
  unless(errno("ESRCH"), () => {
    const what = `kill process ${pid}`;
    using process = new Handle(Number(check(libc().pidfd_open(SYS_PIDFD_OPEN, pid, 0), what)));
    // Whoever has the number now; should that one end before the signal, it is nobody's.
    if (!holds(pid)) return;
    check(libc().pidfd_send_signal(SYS_PIDFD_SEND_SIGNAL, process.fd, SIGKILL, null, 0), what);
  });
}
