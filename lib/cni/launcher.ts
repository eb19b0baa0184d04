/**
 * A launcher: an executable of about a thousand bytes that answers VERSION with a constant, and for every
 * other command becomes this program under its type's name (execve(2)).
 *
 * podman asks every plugin of every list for its version, and the runtime of this program takes tens of
 * milliseconds to start. A launcher has no library, no memory that can be written but its stack, and
 * touches nothing of the caller's but the first word of the arguments. What it can't do itself (an
 * output that takes no answer) it leaves to the program.
 */
import { concat } from "../base/bytes.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { PluginType } from "./plugin_type.ts";
import { DEFAULT_VERSION, versionAnswer } from "./version.ts";

export interface Launcher {
  /** What it is called by: `argv[0]` of the program. */
  type: string;
  /** The program's absolute path. */
  program: string;
  /** What it prints when it is asked for its VERSION. */
  answer: string;
}

/** The launcher of a type of ours. */
export function launcherOf({ type, since }: PluginType, program: string): Launcher {
  return { type, program, answer: JSON.stringify(versionAnswer(since)) + "\n" };
}

/** The last string of every launcher, by which one of another release is known too. */
export const MARK = "mesos-cni launcher";
const ASKED = "CNI_COMMAND=VERSION";
/** No launcher is longer: a path has at most 4,096 bytes. */
const LONGEST = 32 << 10;
const ENCODER = new TextEncoder();

/** elf.h: Elf64_Ehdr and Elf64_Phdr. */
const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const HEADERS = ELF_HEADER + 2 * PROGRAM_HEADER;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const [EXECUTE, WRITE, READ] = [1, 2, 4];
/** The largest page of arm64's kernels. */
const PAGE = 0x10000;

/**
 * Bytes and what they are, as `as` of the GNU binutils takes it. `data` is what follows them: places and
 * lengths of five strings (two words of 32 bits for each: the answer, the error where the program is
 * gone, the one for all else, the type, the program), {@link ASKED}, and those strings.
 *
 * Of CNI_COMMAND the first counts, as for getenv(3): 12 bytes are its name, and 20 with the NUL are
 * {@link ASKED}.
 */
export const CODE = {
  x86_64: {
    machine: 62,
    listing: `
  488b0424        mov (%rsp), %rax
  4c8d642408      lea 8(%rsp), %r12
  4c8d6cc410      lea 16(%rsp,%rax,8), %r13
  488d1d83000000  lea data(%rip), %rbx
  4d89ee          mov %r13, %r14
next:
  498b3e          mov (%r14), %rdi
  4983c608        add $8, %r14
  4885ff          test %rdi, %rdi
  7412            jz run
  488d7328        lea 40(%rbx), %rsi
  b914000000      mov $20, %ecx
  f3a6            repe cmpsb
  7445            je version
  83f907          cmp $7, %ecx
  77e2            ja next
run:
  8b4318          mov 24(%rbx), %eax
  4801d8          add %rbx, %rax
  49890424        mov %rax, (%r12)
  8b7b20          mov 32(%rbx), %edi
  4801df          add %rbx, %rdi
  4c89e6          mov %r12, %rsi
  4c89ea          mov %r13, %rdx
  b83b000000      mov $59, %eax
  0f05            syscall
  83f8fe          cmp $-2, %eax
  488d7308        lea 8(%rbx), %rsi
  7404            je failed
  488d7310        lea 16(%rbx), %rsi
failed:
  8b5604          mov 4(%rsi), %edx
  8b36            mov (%rsi), %esi
  4801de          add %rbx, %rsi
  bf01000000      mov $1, %edi
  b801000000      mov $1, %eax
  0f05            syscall
  eb1b            jmp exit
version:
  8b33            mov (%rbx), %esi
  4801de          add %rbx, %rsi
  8b5304          mov 4(%rbx), %edx
  bf01000000      mov $1, %edi
  b801000000      mov $1, %eax
  0f05            syscall
  4839d0          cmp %rdx, %rax
  75a7            jne run
  31ff            xor %edi, %edi
exit:
  b83c000000      mov $60, %eax
  0f05            syscall
`,
  },
  aarch64: {
    machine: 183,
    listing: `
  e00340f9        ldr x0, [sp]
  f3230091        add x19, sp, #8
  740e008b        add x20, x19, x0, lsl #3
  94220091        add x20, x20, #8
  95050010        adr x21, data
  f60314aa        mov x22, x20
next:
  c08640f8        ldr x0, [x22], #8
  a00200b4        cbz x0, run
  a1a20091        add x1, x21, #40
  020080d2        mov x2, #0
same:
  03686238        ldrb w3, [x0, x2]
  24686238        ldrb w4, [x1, x2]
  7f00046b        cmp w3, w4
  a1010054        b.ne differs
  42040091        add x2, x2, #1
  5f5000f1        cmp x2, #20
  41ffff54        b.ne same
  a10a4029        ldp w1, w2, [x21]
  a102018b        add x1, x21, x1
  200080d2        mov x0, #1
  080880d2        mov x8, #64
  010000d4        svc #0
  1f0002eb        cmp x0, x2
  a1000054        b.ne run
  000080d2        mov x0, #0
  15000014        b exit
differs:
  5f3000f1        cmp x2, #12
  63fdff54        b.lo next
run:
  a01a40b9        ldr w0, [x21, #24]
  a002008b        add x0, x21, x0
  600200f9        str x0, [x19]
  a02240b9        ldr w0, [x21, #32]
  a002008b        add x0, x21, x0
  e10313aa        mov x1, x19
  e20314aa        mov x2, x20
  a81b80d2        mov x8, #221
  010000d4        svc #0
  1f0800b1        cmn x0, #2
  a10a4129        ldp w1, w2, [x21, #8]
  40000054        b.eq failed
  a10a4229        ldp w1, w2, [x21, #16]
failed:
  a102018b        add x1, x21, x1
  200080d2        mov x0, #1
  080880d2        mov x8, #64
  010000d4        svc #0
  200080d2        mov x0, #1
exit:
  a80b80d2        mov x8, #93
  010000d4        svc #0
`,
  },
} as const;

/** @param arch of the machine that it is for */
export function launcherBytes(
  { type, program, answer }: Launcher,
  arch: keyof typeof CODE = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const error = (msg: string) =>
    JSON.stringify(new CniError(CNI_CODES.internal, msg).toJSON(DEFAULT_VERSION)) + "\n";
  const gone = error(`${program}, whose plugin ${type} is, is gone: install mesos-cni again`);
  const failed = error(
    `${program}, whose plugin ${type} is, can't be executed: see ${program} version`,
  );
  const { machine, listing } = CODE[arch];
  const code = Uint8Array.from(
    [...listing.matchAll(/^ +([0-9a-f]+) /gm)].flatMap(([, hex]) =>
      hex!.match(/../g)!.map((byte) => parseInt(byte, 16))
    ),
  );
  const strings = [answer, gone, failed, type, program].map((text) => ENCODER.encode(text));
  const table = new DataView(new ArrayBuffer(8 * strings.length));
  let at = table.byteLength + ASKED.length + 1;
  strings.forEach(({ length }, i) => {
    table.setUint32(8 * i, at, true);
    table.setUint32(8 * i + 4, length, true);
    at += length + 1;
  });
  const end = ENCODER.encode([ASKED, answer, gone, failed, type, program, MARK, ""].join("\0"));
  const data = [new Uint8Array(table.buffer), end];
  const length = HEADERS + code.length + table.byteLength + end.length;
  return concat([elfHeaders(machine, length), code, ...data]);
}

/** @param length of the file, all of which is mapped, to be read and executed */
function elfHeaders(machine: number, length: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADERS));
  const half = (at: number, value: number) => view.setUint16(at, value, true);
  const word = (at: number, value: number) => view.setUint32(at, value, true);
  // EI_CLASS 64 bits, EI_DATA the lowest byte first, EI_VERSION 1
  [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].forEach((byte, i) => view.setUint8(i, byte));
  half(16, ET_DYN); // e_type: anywhere in memory, as the kernel chooses
  half(18, machine);
  word(20, 1); // e_version
  word(24, HEADERS); // e_entry
  word(32, ELF_HEADER); // e_phoff
  half(52, ELF_HEADER); // e_ehsize
  half(54, PROGRAM_HEADER); // e_phentsize
  half(56, 2); // e_phnum
  word(ELF_HEADER, PT_LOAD);
  word(ELF_HEADER + 4, READ | EXECUTE); // p_flags
  word(ELF_HEADER + 32, length); // p_filesz
  word(ELF_HEADER + 40, length); // p_memsz
  word(ELF_HEADER + 48, PAGE); // p_align
  word(ELF_HEADER + PROGRAM_HEADER, PT_GNU_STACK);
  word(ELF_HEADER + PROGRAM_HEADER + 4, READ | WRITE);
  return new Uint8Array(view.buffer);
}

/**
 * The launcher that a file is; undefined for any other file.
 *
 * `isIntact`: it does what it says, since it has the very bytes that this program writes for that.
 */
export function findLauncher(path: string): Launcher & { isIntact: boolean } | undefined {
  const { isFile, size } = Deno.statSync(path);
  if (!isFile || size > LONGEST) return undefined;
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return undefined; // ours may be read by all
    throw error;
  }
  const [answer, , , type, program, mark] = new TextDecoder().decode(bytes).split("\0").slice(-7);
  if (mark !== MARK || !answer || !type || !program) return undefined;
  const launcher = { type, program, answer };
  const wanted = launcherBytes(launcher);
  const isIntact = wanted.length === bytes.length && wanted.every((byte, i) => byte === bytes[i]);
  return { ...launcher, isIntact };
}
