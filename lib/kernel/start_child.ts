/**
 * A child that has nothing of this program but a copy of its memory, and executes another program at
 * once: it leads a session of its own, whose terminal is standard input if that is one. Between its
 * birth and its exec it runs these few machine instructions alone, since of the runtime's threads a
 * child has none but one.
 */
import { vectorOf } from "./exec.ts";
import { check, cString, openLibc } from "./libc.ts";
import { placeCode, words } from "./own_errno.ts";

const libc = openLibc({
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  _exit: { parameters: ["i32"], result: "void" },
});

/** Descriptor on which the child says, as an int, why it could not execute: -errno. */
export const EXEC_STATUS = 3;

const START = { parameters: ["buffer", "buffer", "buffer"], result: "i32" } as const;

/**
 * Of clone(2) with SIGCHLD, setsid(2), ioctl(2) with TIOCSCTTY, execve(2), write(2), exit_group(2):
 * asm/unistd_64.h and asm-generic/unistd.h. The kernel keeps all registers but that of the result (and,
 * on x64, rcx and r11).
 */
const CODE: Readonly<Record<"x86_64" | "aarch64", () => number[]>> = {
  x86_64: () => [
    ...[0x57, 0x56, 0x52], // push rdi, rsi, rdx: path, arguments, environment
    ...[0xb8, 56, 0, 0, 0], // mov eax, SYS_clone
    ...[0xbf, 17, 0, 0, 0], // mov edi, SIGCHLD
    ...[0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0], // esi, edx, r10d, r8d = 0
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0, 0x74, 0x05], // test eax, eax; jz child
    ...[0x48, 0x83, 0xc4, 0x18, 0xc3], // add rsp, 24; ret
    ...[0xb8, 112, 0, 0, 0, 0x0f, 0x05], // child: SYS_setsid
    ...[0xb8, 16, 0, 0, 0, 0x31, 0xff, 0xbe, 0x0e, 0x54, 0, 0, 0x31, 0xd2, 0x0f, 0x05], // SYS_ioctl
    ...[0x5a, 0x5e, 0x5f, 0xb8, 59, 0, 0, 0, 0x0f, 0x05], // pop rdx, rsi, rdi; SYS_execve
    ...[0x50, 0xb8, 1, 0, 0, 0, 0xbf, EXEC_STATUS, 0, 0, 0], // push rax; SYS_write
    ...[0x48, 0x89, 0xe6, 0xba, 4, 0, 0, 0, 0x0f, 0x05], // mov rsi, rsp; mov edx, 4; syscall
    ...[0xb8, 231, 0, 0, 0, 0xbf, 127, 0, 0, 0, 0x0f, 0x05], // SYS_exit_group
  ],
  aarch64: () =>
    words(
      ...[0xaa0003e9, 0xaa0103ea, 0xaa0203eb], // mov x9, x0; x10, x1; x11, x2
      ...[0xd2800220, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004], // x0 = SIGCHLD, x1 … x4 = 0
      ...[0xd2801b88, 0xd4000001], // mov x8, SYS_clone; svc 0
      ...[0xb4000040, 0xd65f03c0], // cbz x0, child; ret
      ...[0xd28013a8, 0xd4000001], // child: SYS_setsid
      ...[0xd2800000, 0xd28a81c1, 0xd2800002, 0xd28003a8, 0xd4000001], // SYS_ioctl
      ...[0xaa0903e0, 0xaa0a03e1, 0xaa0b03e2, 0xd2801ba8, 0xd4000001], // SYS_execve
      ...[0xf81f0fe0, 0xd2800060, 0x910003e1, 0xd2800082, 0xd2800808, 0xd4000001], // SYS_write
      ...[0xd2800fe0, 0xd2800bc8, 0xd4000001], // SYS_exit_group
    ),
};

/**
 * Readies the start of a program, while files of the agent's can be read.
 *
 * @returns what starts it, from a file, in the namespaces that children are born in, and returns the
 *   child's number
 */
export function readyToStart(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): (file: string) => number {
  libc();
  const memory = placeCode("libc.so.6", (bytes) => bytes.set(CODE[Deno.build.arch]()));
  const start = new Deno.UnsafeFnPointer(memory as Deno.PointerObject<typeof START>, START);
  const args = vectorOf(argv);
  const variables = vectorOf(Object.entries(env).map(([name, value]) => `${name}=${value}`));
  return (file) => check(start.call(cString(file), args.bytes, variables.bytes), `start ${file}`);
}

/** Waits for a child, and ends this process as it did: 128 + n if signal n ended it. */
export function endAs(child: number): never {
  const status = new Int32Array(1);
  check(libc().waitpid(child, new Uint8Array(status.buffer), 0), "wait for the command");
  // wait(2): the signal in the lower seven bits, the exit code in the next eight.
  const signal = status[0]! & 0x7f;
  // Nothing of the runtime's own end: its descriptors are closed.
  libc()._exit(signal ? 128 + signal : status[0]! >> 8 & 0xff);
  throw new Error("exit returned");
}
