/** The root and working directory of this process (pivot_root(2), chdir(2)). */
import { check, cString, openLibc } from "./libc.ts";

const libc = openLibc({
  syscall: { parameters: ["i64", "buffer", "buffer"], result: "i64" },
  chdir: { parameters: ["buffer"], result: "i32" },
});

/** Numbers of asm/unistd.h: glibc has no function for pivot_root(2). */
const SYS_PIVOT_ROOT = Deno.build.arch === "aarch64" ? 41n : 155n;

/** Makes the working directory, a mount point, the root; the old root is mounted on top of it. @throws {SystemError} */
export function pivotRoot(): void {
  const here = cString(".");
  check(libc().syscall(SYS_PIVOT_ROOT, here, here), "make the working directory the root");
}

/** @throws {SystemError} */
export function chdir(path: string): void {
  check(libc().chdir(cString(path)), `change the working directory to ${path}`);
}
