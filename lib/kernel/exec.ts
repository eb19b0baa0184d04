/** Becoming another program (execvp(3)). */
import { check, cString, openLibc, SystemError } from "./libc.ts";

const libc = openLibc({
  execvp: { parameters: ["buffer", "buffer"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "usize" },
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  clearenv: { parameters: [], result: "i32" },
  sigprocmask: { parameters: ["i32", "buffer", "usize"], result: "i32" },
});

const SIGPIPE = 13;
const SIGCHLD = 17;
const SIG_DFL = 0n;
const SIG_IGN = 1n;
/** glibc's struct sigaction, of which the handler comes first. */
const SIGACTION_BYTES = 152;
const SIG_SETMASK = 2;
/** glibc's sigset_t has 1024 bits. */
const SIGSET_BYTES = 128;

/**
 * Replaces this program: process id, terminal, working directory and environment stay; the
 * signal state becomes what a shell would give. Returns only by an error.
 *
 * @throws {SystemError} `ENOENT` for a command that is not in PATH
 */
export function execute(argv: readonly [string, ...string[]]): never {
  resetSignals();
  const { bytes } = vectorOf(argv);
  const failed = libc().execvp(cString(argv[0]), bytes);
  throw new SystemError(-failed, `execute ${argv[0]}`);
}

/** The runtime ignores SIGPIPE, and an ignored signal stays ignored through exec. */
export function resetSignals(): void {
  libc().signal(SIGPIPE, SIG_DFL);
  libc().sigprocmask(SIG_SETMASK, new Uint8Array(SIGSET_BYTES), 0n);
}

let isHeeded = false;

/**
 * Sees to it that the end of a child can be waited for: who ignores SIGCHLD hands that on to the
 * programs that he starts, and then nobody is told how one has ended (wait(2)). For before the first
 * child, since the runtime may have a handler of its own later.
 */
export function heedChildren(): void {
  if (isHeeded) return;
  isHeeded = true;
  const action = new BigUint64Array(SIGACTION_BYTES / 8);
  check(libc().sigaction(SIGCHLD, null, action), "look at what is done on SIGCHLD");
  if (action[0] === SIG_IGN) libc().signal(SIGCHLD, SIG_DFL);
}

/** Strings as C's main gets them: pointers to each, and a null; they live as long as the answer does. */
export function vectorOf(
  texts: readonly string[],
): { bytes: Uint8Array<ArrayBuffer>; strings: readonly Uint8Array[] } {
  const strings = texts.map(cString);
  const pointers = new BigUint64Array(texts.length + 1);
  strings.forEach((text, i) => {
    pointers[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(text));
  });
  return { bytes: new Uint8Array(pointers.buffer), strings };
}

/** Takes all variables from this program's environment, also those that are no text. */
export function clearEnvironment(): void {
  libc().clearenv();
}

/**
 * The exit code a shell gives for a command that could not be executed: 127 when it is not
 * there, 126 when it is and can't be run.
 */
export function exitCodeOfFailedExec(error: SystemError): 126 | 127 {
  return error.errnoName === "ENOENT" ? 127 : 126;
}
