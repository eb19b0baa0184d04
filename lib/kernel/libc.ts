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
    if (opened) return opened;
    const place = findErrno();
    const calls = Object.entries(Deno.dlopen(LIBC, symbols).symbols).map(([name, call]) =>
      [name, settled(name, call as Call, () => place.getInt32())] as const
    );
    return opened = Object.fromEntries(calls) as Deno.StaticForeignLibraryInterface<S>;
  };
}

// deno-lint-ignore no-explicit-any
type Call = (...values: any[]) => unknown;

const EINTR = 4;
/** Calls that have done their work when a signal interrupts them: a second close closes another file. */
const NEVER_REPEATED: readonly string[] = ["close"];

/**
 * A function of the C library whose errno is taken before anything else happens, since whatever
 * the runtime does next (collecting garbage, say) may change it; and that is called again when a
 * signal has interrupted it.
 *
 * @param readErrno what this thread's errno is at that moment
 */
export function settled(name: string, call: Call, readErrno: () => number): Call {
  return (...values) => {
    while (true) {
      const result = call(...values);
      if (result !== -1 && result !== -1n) return result;
      failure = readErrno();
      if (failure !== EINTR || NEVER_REPEATED.includes(name)) return result;
    }
  };
}

/** errno of the last call in this thread that failed. */
let failure = 0;

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

/** The errno of the last call of {@link openLibc}'s functions that failed, in this thread. */
export function errno(): number {
  return failure;
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
