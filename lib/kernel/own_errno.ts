/**
 * Functions of the C library whose failure is their result. C leaves the reason in `errno`, which
 * can't be read from here in time: between a call's return and the look, the runtime may do a system
 * call of its own on this thread (a lock that another of its threads holds, a file that it looks
 * for), and ENOENT stood there for EAGAIN once in some four thousand calls. So each function is
 * called by a few machine instructions that read errno before anything else can run, and return it
 * as the kernel itself does: `-errno` for what the C library says as `-1`.
 */

/** Of mmap(2) and mprotect(2), the same on x64 and arm64. */
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
/** A multiple of every page size that Linux has. */
const PAGE_BYTES = 64 << 10;

/** Room for one function's instructions, and the two addresses that end it. */
const STUB_BYTES = 64;
const FUNCTION_AT = 48;
const ERRNO_AT = 56;

/**
 * The instructions of each architecture, for results as wide as a register (64 bits) or half of it.
 * Arguments and stack are as the caller has left them, and no function has more arguments than there
 * are registers for them (six).
 */
const CODE: Readonly<Record<"x86_64" | "aarch64", (isWide: boolean) => number[]>> = {
  x86_64(isWide) {
    const wide = isWide ? [0x48] : []; // the prefix REX.W
    const done = isWide ? 11 : 10;
    const call = 0x06 + 4; // where the first call ends, from which its address is counted
    const second = call + (isWide ? 4 : 3) + 2 + 6;
    return [
      ...[0x48, 0x83, 0xec, 0x08], // sub rsp, 8       the stack is aligned to 16 in a call
      ...[0xff, 0x15, FUNCTION_AT - call, 0, 0, 0], // call [rip + …]: the function
      ...[...wide, 0x83, 0xf8, 0xff], // cmp rax, -1
      ...[0x75, done], // jne done
      ...[0xff, 0x15, ERRNO_AT - second, 0, 0, 0], // call [rip + …]: __errno_location
      ...[0x8b, 0x00], // mov eax, [rax]   which clears the upper half
      ...[...wide, 0xf7, 0xd8], // neg rax
      ...[0x48, 0x83, 0xc4, 0x08], // done: add rsp, 8
      0xc3, // ret
    ];
  },
  aarch64(isWide) {
    const wide = isWide ? 0x80000000 : 0; // the bit sf
    return words(
      0xa9bf7bfd, // stp x29, x30, [sp, #-16]!
      0x910003fd, // mov x29, sp
      0x58000010 | (FUNCTION_AT - 8) << 3, // ldr x16, …: the function
      0xd63f0200, // blr x16
      0x3100041f | wide, // cmn x0, #1
      0x540000a1, // b.ne done
      0x58000010 | (ERRNO_AT - 24) << 3, // ldr x16, …: __errno_location
      0xd63f0200, // blr x16
      0xb9400000, // ldr w0, [x0]     which clears the upper half
      0x4b0003e0 | wide, // neg x0, x0
      0xa8c17bfd, // done: ldp x29, x30, [sp], #16
      0xd65f03c0, // ret
    );
  },
};

export function words(...instructions: number[]): number[] {
  return [...new Uint8Array(new Uint32Array(instructions).buffer)];
}

/** Which results are as wide as a register; all others are of 32 bits. */
const WIDE = new Set<unknown>(["isize", "usize", "i64", "u64", "pointer"]);

type Functions = Record<string, Deno.ForeignFunction>;

const MMAP = {
  parameters: ["usize", "usize", "i32", "i32", "i32", "i64"],
  result: "pointer",
} as const;
const MPROTECT = { parameters: ["pointer", "usize", "i32"], result: "i32" } as const;

/**
 * Opens functions of the C library that return `-errno` where C's return -1.
 *
 * @throws {Error} if the system grants no memory for instructions, without which the runtime could
 *   not run either
 */
export function openWithErrno<const S extends Functions>(
  library: string,
  symbols: S,
): Deno.StaticForeignLibraryInterface<S> {
  const addresses = addressesOf(
    library,
    Object.fromEntries(Object.entries(symbols).map(([key, { name = key }]) => [key, name])),
  );
  const { errnoLocation } = memoryOf(library);
  const memory = placeCode(library, (bytes) => {
    const view = new DataView(bytes.buffer);
    Object.entries(symbols).forEach(([key, { result }], i) => {
      const at = i * STUB_BYTES;
      bytes.set(CODE[Deno.build.arch](WIDE.has(result)), at);
      view.setBigUint64(at + FUNCTION_AT, BigInt(Deno.UnsafePointer.value(addresses[key]!)), true);
      view.setBigUint64(at + ERRNO_AT, errnoLocation, true);
    });
  });
  return Object.fromEntries(
    Object.entries(symbols).map(([key, definition], i) => {
      const stub = Deno.UnsafePointer.offset(memory, i * STUB_BYTES);
      const pointer = new Deno.UnsafeFnPointer(
        stub as Deno.PointerObject<typeof definition>,
        definition,
      );
      return [
        key,
        (...args: unknown[]) => pointer.call(...(args as Parameters<typeof pointer.call>)),
      ];
    }),
  ) as Deno.StaticForeignLibraryInterface<S>;
}

/**
 * Memory with instructions in it, which is never writable and executable at once.
 *
 * @param fill writes them to the beginning of a page
 * @throws {Error} if the system grants none
 */
export function placeCode(
  library: string,
  fill: (bytes: Uint8Array<ArrayBuffer>) => void,
): Deno.PointerObject {
  const { mmap, mprotect } = memoryOf(library);
  const size = BigInt(PAGE_BYTES);
  const memory = mmap(0n, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n);
  if (memory === null || BigInt(Deno.UnsafePointer.value(memory)) === MAP_FAILED) {
    throw new Error("the system grants no memory for calls of the C library");
  }
  fill(new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(memory, PAGE_BYTES)));
  if (mprotect(memory, size, PROT_READ | PROT_EXEC) !== 0) {
    throw new Error("the system lets no new memory be executed, which calls of the C library need");
  }
  return memory;
}

let memory: ReturnType<typeof openMemory> | undefined;

function memoryOf(library: string) {
  return memory ??= openMemory(library);
}

function openMemory(library: string) {
  const addresses = addressesOf(library, {
    mmap: "mmap",
    mprotect: "mprotect",
    errno: "__errno_location",
  });
  const mmap = new Deno.UnsafeFnPointer(
    addresses.mmap as Deno.PointerObject<typeof MMAP>,
    MMAP,
  );
  const mprotect = new Deno.UnsafeFnPointer(
    addresses.mprotect as Deno.PointerObject<typeof MPROTECT>,
    MPROTECT,
  );
  return {
    mmap: (...args: Parameters<typeof mmap.call>) => mmap.call(...args),
    mprotect: (...args: Parameters<typeof mprotect.call>) => mprotect.call(...args),
    errnoLocation: BigInt(Deno.UnsafePointer.value(addresses.errno)),
  };
}

/**
 * Where functions are, by their names in the library. Not the functions themselves: the runtime
 * compiles code for each that it opens, half a millisecond for the first and a tenth for others.
 */
function addressesOf<K extends string>(
  library: string,
  names: Readonly<Record<K, string>>,
): Record<K, Deno.PointerValue> {
  return Deno.dlopen(
    library,
    Object.fromEntries(
      Object.entries<string>(names).map(([key, name]) => [key, { name, type: "pointer" as const }]),
    ),
  ).symbols as Record<K, Deno.PointerValue>;
}
