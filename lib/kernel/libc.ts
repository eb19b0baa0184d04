/**
 * The C library by FFI: how every file of this folder calls the kernel. Nothing outside
 * `lib/kernel` opens a library.
 */
import { OperatorError } from "../base/error.ts";
import { ERRNO_NAMES } from "./errno.ts";
import { openWithErrno } from "./own_errno.ts";

const LIBC = "libc.so.6";

/** A system call that failed. `errno` is the number, `errnoName` its name (`ENOENT`). */
export class SystemError extends OperatorError {
  override name = "SystemError";
  readonly errnoName: string;

  /** @param what the call as an operator would describe it, such as `mount /a on /b` */
  constructor(readonly errno: number, what: string) {
    const known = ERRNO_NAMES[errno];
    const errnoName = known?.[0] ?? `errno ${errno}`;
    super("system", `${errnoName}: ${what}: ${known?.[1] ?? "unknown error"}`);
    this.errnoName = errnoName;
  }
}

/**
 * Opens the C library for the named functions. Each file of this folder opens the few that it
 * needs, when it first needs them: a mode that touches no namespace pays for none. Where C's
 * function returns -1, this one returns what errno says of it, negated.
 */
export function openLibc<const S extends Record<string, Deno.ForeignFunction>>(
  symbols: S,
): () => Deno.StaticForeignLibraryInterface<S> {
  let opened: Deno.StaticForeignLibraryInterface<S> | undefined;
  return () => {
    if (opened) return opened;
    const calls = Object.entries(openWithErrno(LIBC, symbols))
      .map(([name, call]) => [name, settled(name, call as Call)] as const);
    return opened = Object.fromEntries(calls) as Deno.StaticForeignLibraryInterface<S>;
  };
}

// deno-lint-ignore no-explicit-any
type Call = (...values: any[]) => unknown;

/** -EINTR, of either width. */
const INTERRUPTED: readonly unknown[] = [-4, -4n];
/**
 * Calls that have done their work when a signal interrupts them, as a second close closes another file;
 * and those that wait for a time, of which the rest is the caller's to count.
 */
const NEVER_REPEATED: readonly string[] = ["close", "poll"];

/** A function that is called again when a signal has interrupted it, on another thread too. */
export function settled(name: string, call: Call): Call {
  if (NEVER_REPEATED.includes(name)) return call;
  const settle = async (values: unknown[], first: Promise<unknown>) => {
    let result = await first;
    while (INTERRUPTED.includes(result)) result = await call(...values);
    return result;
  };
  return (...values) => {
    while (true) {
      const result = call(...values);
      if (result instanceof Promise) return settle(values, result);
      if (!INTERRUPTED.includes(result)) return result;
    }
  };
}

/**
 * Passes a result on, or throws what a negative one stands for.
 *
 * @throws {SystemError} with errno's name and `what`
 */
export function check<R extends number | bigint>(result: R, what: string): R {
  if (result < 0) throw new SystemError(-Number(result), what);
  return result;
}

const encoder = new TextEncoder();

/**
 * A string as C wants it.
 *
 * @throws {OperatorError} if it holds a NUL, which would cut it short unseen
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new OperatorError("nul_byte", `NUL byte in ${JSON.stringify(text.slice(0, 80))}`);
  }
  return encoder.encode(text + "\0");
}
