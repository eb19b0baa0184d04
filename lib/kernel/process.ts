/** Processes: their parents, their terminals and who else shares a namespace. */
import { check, openLibc } from "./libc.ts";

const libc = openLibc({
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  getppid: { parameters: [], result: "i32" },
  getpgrp: { parameters: [], result: "i32" },
  tcgetpgrp: { parameters: ["i32"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
});

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9n;

/** Asks the kernel to kill this process, and the program it becomes, when its parent dies. */
export function dieWithParent(): void {
  check(libc().prctl(PR_SET_PDEATHSIG, SIGKILL, 0n, 0n, 0n), "ask to die with the parent");
}

/** The process that started this one, or whoever inherited it. */
export function parentPid(): number {
  return libc().getppid();
}

/** Whether this process has root's rights (in a user namespace: that namespace's root). */
export function isRoot(): boolean {
  return libc().geteuid() === 0;
}

/** Whether keys typed at standard input's terminal, such as Ctrl-C, signal this process. */
export function isForeground(): boolean {
  return Deno.stdin.isTerminal() && libc().tcgetpgrp(0) === libc().getpgrp();
}
