/** Ending processes by the network that they are in (pidfd_open(2)). */
import { Handle } from "./files.ts";
import { check, openLibc } from "./libc.ts";
import { networkOf } from "./processes.ts";
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
 * Kills a process that is in a network namespace. One that is not, since the number that was seen
 * there is another's by now, is left alone.
 *
 * @param inode of the namespace
 * @throws {SystemError}
 */
export function killInNetwork(pid: number, inode: number): void {
  unless(errno("ESRCH"), () => {
    const what = `kill process ${pid}`;
    using process = new Handle(Number(check(libc().pidfd_open(SYS_PIDFD_OPEN, pid, 0), what)));
    // Whoever has the number now; should that one end before the signal, it is nobody's.
    if (networkOf(pid) !== inode) return;
    check(libc().pidfd_send_signal(SYS_PIDFD_SEND_SIGNAL, process.fd, SIGKILL, null, 0), what);
  });
}
