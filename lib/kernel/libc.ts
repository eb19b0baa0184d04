/**
 * The C library by FFI: how every file of this folder calls the kernel. Nothing outside
 * `lib/kernel` opens a library.
 */
import { OperatorError } from "../base/error.ts";
import { ERRNO_NAMES } from "./errno.ts";

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
 * needs, when it first needs them: a mode that touches no namespace pays for none.
 */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): () => Deno.StaticForeignLibraryInterface<S> {
  let opened: Deno.StaticForeignLibraryInterface<S> | undefined;
  return () => {
    if (!opened) {
      findErrno();
      opened = Deno.dlopen(LIBC, symbols).symbols;
    }
    return opened;
  };
}

let place: Deno.UnsafePointerView | undefined;

/**
 * Where this thread's errno is. Found before the first call that may fail: to open a library
 * after it would change the very value that is to be read (an EAGAIN became an ENOENT).
 */
function findErrno(): Deno.UnsafePointerView {
  if (place) return place;
  const { symbols } = Deno.dlopen(LIBC, {
    __errno_location: { parameters: [], result: "pointer" },
  });
  return place = new Deno.UnsafePointerView(symbols.__errno_location()!);
}

/** This thread's errno. Meaningful straight after a failed call only. */
export function errno(): number {
  return findErrno().getInt32();
}

/**
 * Passes a result on, or throws what the C library's `-1` stands for.
 *
 * @throws {SystemError} with errno's name and `what`
 */
export function check<R extends number | bigint>(result: R, what: string): R {
  if (Number(result) === -1) throw new SystemError(errno(), what);
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
