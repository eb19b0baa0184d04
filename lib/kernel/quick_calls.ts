/**
 * Functions by their addresses, called as fast as the runtime can. Of what it calls by an address it reads
 * the definition at each call, which takes five microseconds; for what it finds by name in a library it
 * compiles code, which takes two hundred, once. So what is called often gets a name: in a library in memory
 * (memfd_create(2), elf(5)) that is nothing but jumps by a table.
 */

/** Far more than are called often. */
const SLOTS = 64;
const NAMES = ["table", ...Array.from({ length: SLOTS }, (_, slot) => `slot${slot}`)];

/** Where what is; from DATA on it can be written, and there nothing is executed. */
const SEGMENTS = 0x40;
const HASH = 0x120;
const STRINGS = 0x240;
const SYMBOLS = 0x800;
const JUMPS = 0x1000;
const DATA = 0x10000; // a page of whatever size begins
const TABLE = DATA + 0x100;
const END = TABLE + 8 * SLOTS;
const SEGMENT_BYTES = 56;
const SYMBOL_BYTES = 24;
const JUMP_BYTES = 16;

/** The bytes of the library for a processor. */
export function libraryOf(arch: typeof Deno.build.arch): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(END);
  const view = new DataView(bytes.buffer);
  const halves = (at: number, ...values: number[]) =>
    values.forEach((value, i) => view.setUint32(at + 4 * i, value, true));
  const wholes = (at: number, ...values: (number | bigint)[]) =>
    values.forEach((value, i) => view.setBigUint64(at + 8 * i, BigInt(value), true));
  halves(0, 0x464c457f, 0x00010102, 0, 0, 3 | (arch === "x86_64" ? 62 : 183) << 16, 1);
  wholes(24, 0, SEGMENTS, 0, 0x0038_0040_0000_0000n, 4);
  // PT_LOAD twice, PT_DYNAMIC, and PT_GNU_STACK, without which stacks would become executable.
  [
    [1, 5, 0, JUMPS + JUMP_BYTES * SLOTS],
    [1, 6, DATA, END - DATA],
    [2, 6, DATA, 0x60],
    [0x6474e551, 6, 0, 0],
  ].forEach(([type, flags, at, size], i) => {
    halves(SEGMENTS + SEGMENT_BYTES * i, type!, flags!);
    wholes(SEGMENTS + SEGMENT_BYTES * i + 8, at!, at!, at!, size!, size!, DATA);
  });
  // All symbols are in one chain.
  const next = NAMES.map((_, i) => (i + 2) % (NAMES.length + 1));
  halves(HASH, 1, NAMES.length + 1, 1, 0, ...next);
  let end = 1;
  NAMES.forEach((name, i) => {
    const at = SYMBOLS + SYMBOL_BYTES * (i + 1);
    halves(at, end, 0x1_0012); // of a section, a global function
    wholes(at + 8, i === 0 ? TABLE : JUMPS + JUMP_BYTES * (i - 1), 8);
    end += new TextEncoder().encodeInto(name, bytes.subarray(STRINGS + end)).written + 1;
  });
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = JUMPS + JUMP_BYTES * slot;
    const to = TABLE + 8 * slot - at;
    if (arch === "x86_64") {
      bytes.set([0xff, 0x25], at); // jmp [rip + …]
      view.setInt32(at + 2, to - 6, true);
    } else halves(at, 0x58000010 | to / 4 << 5, 0xd61f0200); // ldr x16, …; br x16
  }
  // DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT
  wholes(DATA, 4, HASH, 5, STRINGS, 6, SYMBOLS, 10, end, 11, SYMBOL_BYTES, 0, 0);
  return bytes;
}

/** The library by a path that stays its own, since its file stays open. */
let library: { path: string; table: BigUint64Array; used: number } | undefined;

/**
 * Has what is called often from now on called quickly, for programs that do much. It must be in its own
 * mount namespace: in a container's, another file could stand at the path.
 *
 * @param libc the C library, by its name
 */
export function quicken(libc: string): void {
  if (library) return;
  try {
    const { memfd_create, write } = Deno.dlopen(libc, {
      memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
      write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    }).symbols;
    const fd = memfd_create(new TextEncoder().encode("mesos-cni\0"), 1); // MFD_CLOEXEC
    write(fd, libraryOf(Deno.build.arch), BigInt(END));
    const path = `/proc/self/fd/${fd}`;
    const { table } = Deno.dlopen(path, { table: { type: "pointer" } }).symbols;
    const slots = Deno.UnsafePointerView.getArrayBuffer(table!, 8 * SLOTS);
    library = { path, table: new BigUint64Array(slots), used: 0 };
  } catch {
    // A system without files in memory, or that executes none, is slower.
  }
}

/** The function at an address, called quickly; undefined where nobody has asked for that, or it can't be. */
export function quickCall(
  address: Deno.PointerObject,
  { parameters, result }: Deno.ForeignFunction,
): ((...args: never[]) => unknown) | undefined {
  if (!library || library.used === SLOTS) return undefined;
  const slot = library.used++;
  library.table[slot] = BigInt(Deno.UnsafePointer.value(address));
  // A library of that path is there, so that the linker looks for no file.
  const { call } = Deno.dlopen(library.path, { call: { name: `slot${slot}`, parameters, result } })
    .symbols;
  return call as (...args: never[]) => unknown;
}
