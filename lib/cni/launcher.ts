/**
 * A launcher: an executable of about a thousand bytes that answers VERSION with a constant, and for every
 * other command becomes this program under its type's name (execve(2)).
 *
 * podman asks every plugin of every list for its version, and the runtime of this program takes tens of
 * milliseconds to start. A launcher has no library, no memory that can be written but its stack, and
 * touches nothing of the caller's but the first word of the arguments. What it can't do itself (an
 * output that takes no answer) it leaves to the program.
 *
 * The runtime ends before any code of ours where it has not the resources to begin, with words that no
 * caller of a plugin reads. So a launcher raises {@link LIMITS}, leaves a working directory that was
 * removed (getcwd(2) fails with ENOENT), and says that {@link SELF} can't be read.
 */
import { concat } from "../base/bytes.ts";
import { CNI_CODES } from "./error.ts";
import type { PluginType } from "./plugin_type.ts";
import { DEFAULT_VERSION, versionAnswer } from "./version.ts";
import { stateKey } from "../base/exists.ts";
import { isA, unless } from "../base/unless.ts";

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
/** By which the runtime finds what it is to run. */
const SELF = "/proc/self/exe";
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
 * For each resource: its number (asm-generic/resource.h), a limit that is enough for all that this program
 * does, and the least with which it begins at all. A soft limit that is not enough is raised to the hard
 * one (prlimit(2)), and a hard one below the least is an error. Between the two the program is tried, since
 * a removal needs less than an attach.
 */
const LIMITS:
  readonly (readonly [name: string, resource: number, enough: number, least: number])[] = [
    ["RLIMIT_FSIZE", 1, 16 << 20, 4 << 20], // a write beyond it is the end of the writer (SIGXFSZ)
    ["RLIMIT_DATA", 2, 1 << 30, 570e6],
    ["RLIMIT_STACK", 3, 1 << 20, 512 << 10],
    ["RLIMIT_NOFILE", 7, 32, 13],
    // V8 sets 48 GiB aside, of which it uses little; with less it comes to a place that suits it, or does not.
    ["RLIMIT_AS", 9, 56 * 2 ** 30, 54e9],
  ];

/**
 * Bytes and what they are, as `as` of the GNU binutils takes it. `data` is what follows them: places and
 * lengths of seven strings (two words of 32 bits for each: the errors without /proc and of a limit, the answer,
 * the error where the program is gone, the one for all else, the type, the program), {@link ASKED},
 * {@link SELF}, {@link LIMITS} (three words of 64 bits for each), and those strings.
 *
 * Of CNI_COMMAND the first counts, as for getenv(3): 12 bytes are its name, and 20 with the NUL are
 * {@link ASKED}.
 */
export const CODE = {
  x86_64: {
    machine: 62,
    listing: `
  488b0424         mov (%rsp), %rax
  4c8d642408       lea 8(%rsp), %r12
  4c8d6cc410       lea 16(%rsp,%rax,8), %r13
  488d1d27010000   lea data(%rip), %rbx
  4d89ee           mov %r13, %r14
next:
  498b3e           mov (%r14), %rdi
  4983c608         add $8, %r14
  4885ff           test %rdi, %rdi
  7416             jz run
  488d7338         lea 56(%rbx), %rsi
  b914000000       mov $20, %ecx
  f3a6             repe cmpsb
  0f84e0000000     je version
  83f907           cmp $7, %ecx
  77de             ja next
run:
  4883ec10         sub $16, %rsp
  4889e7           mov %rsp, %rdi
  31f6             xor %esi, %esi
  b84f000000       mov $79, %eax
  0f05             syscall
  83f8fe           cmp $-2, %eax
  750f             jne self
  48c704242f000000 movq $47, (%rsp)
  b850000000       mov $80, %eax
  0f05             syscall
self:
  488d7b4c         lea 76(%rbx), %rdi
  4889e6           mov %rsp, %rsi
  ba10000000       mov $16, %edx
  b859000000       mov $89, %eax
  0f05             syscall
  488d33           lea (%rbx), %rsi
  4885c0           test %rax, %rax
  0f8882000000     js failed
  4c8d735b         lea 91(%rbx), %r14
  bd05000000       mov $5, %ebp
limit:
  31ff             xor %edi, %edi
  418b36           mov (%r14), %esi
  31d2             xor %edx, %edx
  4989e2           mov %rsp, %r10
  b82e010000       mov $302, %eax
  0f05             syscall
  85c0             test %eax, %eax
  7532             jnz enough
  498b4608         mov 8(%r14), %rax
  48390424         cmp %rax, (%rsp)
  7328             jae enough
  488d7308         lea 8(%rbx), %rsi
  498b4610         mov 16(%r14), %rax
  4839442408       cmp %rax, 8(%rsp)
  724b             jb failed
  488b442408       mov 8(%rsp), %rax
  48890424         mov %rax, (%rsp)
  418b36           mov (%r14), %esi
  4889e2           mov %rsp, %rdx
  4531d2           xor %r10d, %r10d
  b82e010000       mov $302, %eax
  0f05             syscall
enough:
  4983c618         add $24, %r14
  ffcd             dec %ebp
  75b1             jnz limit
  8b4328           mov 40(%rbx), %eax
  4801d8           add %rbx, %rax
  49890424         mov %rax, (%r12)
  8b7b30           mov 48(%rbx), %edi
  4801df           add %rbx, %rdi
  4c89e6           mov %r12, %rsi
  4c89ea           mov %r13, %rdx
  b83b000000       mov $59, %eax
  0f05             syscall
  83f8fe           cmp $-2, %eax
  488d7318         lea 24(%rbx), %rsi
  7404             je failed
  488d7320         lea 32(%rbx), %rsi
failed:
  8b5604           mov 4(%rsi), %edx
  8b36             mov (%rsi), %esi
  4801de           add %rbx, %rsi
  bf01000000       mov $1, %edi
  b801000000       mov $1, %eax
  0f05             syscall
  eb20             jmp exit
version:
  8b7310           mov 16(%rbx), %esi
  4801de           add %rbx, %rsi
  8b5314           mov 20(%rbx), %edx
  bf01000000       mov $1, %edi
  b801000000       mov $1, %eax
  0f05             syscall
  4839d0           cmp %rdx, %rax
  0f8507ffffff     jne run
  31ff             xor %edi, %edi
exit:
  b83c000000       mov $60, %eax
  0f05             syscall
`,
  },
  aarch64: {
    machine: 183,
    listing: `
  e00340f9         ldr x0, [sp]
  f3230091         add x19, sp, #8
  740e008b         add x20, x19, x0, lsl #3
  94220091         add x20, x20, #8
  350b0010         adr x21, data
  f60314aa         mov x22, x20
next:
  c08640f8         ldr x0, [x22], #8
  a00200b4         cbz x0, run
  a1e20091         add x1, x21, #56
  020080d2         mov x2, #0
same:
  03686238         ldrb w3, [x0, x2]
  24686238         ldrb w4, [x1, x2]
  7f00046b         cmp w3, w4
  a1010054         b.ne differs
  42040091         add x2, x2, #1
  5f5000f1         cmp x2, #20
  41ffff54         b.ne same
  a10a4229         ldp w1, w2, [x21, #16]
  a102018b         add x1, x21, x1
  200080d2         mov x0, #1
  080880d2         mov x8, #64
  010000d4         svc #0
  1f0002eb         cmp x0, x2
  a1000054         b.ne run
  000080d2         mov x0, #0
  42000014         b exit
differs:
  5f3000f1         cmp x2, #12
  63fdff54         b.lo next
run:
  ff4300d1         sub sp, sp, #16
  e0030091         mov x0, sp
  010080d2         mov x1, #0
  280280d2         mov x8, #17
  010000d4         svc #0
  1f0800b1         cmn x0, #2
  c1000054         b.ne self
  e00580d2         mov x0, #47
  e00300f9         str x0, [sp]
  e0030091         mov x0, sp
  280680d2         mov x8, #49
  010000d4         svc #0
self:
  600c8092         mov x0, #-100
  a1320191         add x1, x21, #76
  e2030091         mov x2, sp
  030280d2         mov x3, #16
  c80980d2         mov x8, #78
  010000d4         svc #0
  a10a4029         ldp w1, w2, [x21]
  e004f8b7         tbnz x0, #63, failed
  b66e0191         add x22, x21, #91
  b70080d2         mov x23, #5
limit:
  000080d2         mov x0, #0
  c10240b9         ldr w1, [x22]
  020080d2         mov x2, #0
  e3030091         mov x3, sp
  a82080d2         mov x8, #261
  010000d4         svc #0
  c00100b5         cbnz x0, enough
  c40640f9         ldr x4, [x22, #8]
  e51b40a9         ldp x5, x6, [sp]
  bf0004eb         cmp x5, x4
  42010054         b.hs enough
  c40a40f9         ldr x4, [x22, #16]
  df0004eb         cmp x6, x4
  a10a4129         ldp w1, w2, [x21, #8]
  c3020054         b.lo failed
  e60300f9         str x6, [sp]
  c10240b9         ldr w1, [x22]
  e2030091         mov x2, sp
  030080d2         mov x3, #0
  010000d4         svc #0
enough:
  d6620091         add x22, x22, #24
  f70600d1         sub x23, x23, #1
  57fdffb5         cbnz x23, limit
  a02a40b9         ldr w0, [x21, #40]
  a002008b         add x0, x21, x0
  600200f9         str x0, [x19]
  a03240b9         ldr w0, [x21, #48]
  a002008b         add x0, x21, x0
  e10313aa         mov x1, x19
  e20314aa         mov x2, x20
  a81b80d2         mov x8, #221
  010000d4         svc #0
  1f0800b1         cmn x0, #2
  a10a4329         ldp w1, w2, [x21, #24]
  40000054         b.eq failed
  a10a4429         ldp w1, w2, [x21, #32]
failed:
  a102018b         add x1, x21, x1
  200080d2         mov x0, #1
  080880d2         mov x8, #64
  010000d4         svc #0
  200080d2         mov x0, #1
exit:
  a80b80d2         mov x8, #93
  010000d4         svc #0
`,
  },
} as const;

/** The bytes of a listing. */
function assembled(listing: string): Uint8Array {
  const hex = [...listing.matchAll(/^ +([0-9a-f]+) /gm)].map(([, bytes]) => bytes).join("");
  return Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
}

/** That of this machine, with which the launchers of others are compared at each attach. */
let ownCode: Uint8Array | undefined;

/** @param arch of the machine that it is for */
export function launcherBytes(
  { type, program, answer }: Launcher,
  arch: keyof typeof CODE = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const error = (msg: string) =>
    JSON.stringify({ cniVersion: DEFAULT_VERSION, code: CNI_CODES.internal, msg }) + "\n";
  const whose = `${program}, whose plugin ${type} is,`;
  const gone = error(`${whose} is gone: install mesos-cni again`);
  const failed = error(`${whose} can't be executed: see ${program} version`);
  const blind = error(
    `${whose} can't begin, since ${SELF} can't be read: have /proc mounted where it is called`,
  );
  const enough = LIMITS.map(([name, , size]) => `${name} ${size}`).join(", ");
  const limited = error(
    `${whose} can't begin, since a hard limit of its caller's is too small: enough is ${enough}; see prlimit(1)`,
  );
  const { machine, listing } = CODE[arch];
  const code = arch === Deno.build.arch ? ownCode ??= assembled(listing) : assembled(listing);
  const strings = [blind, limited, answer, gone, failed, type, program];
  const limits = new BigUint64Array(LIMITS.flatMap(([, ...one]) => one.map(BigInt)));
  const table = new Uint32Array(2 * strings.length);
  const constant = ENCODER.encode(`${ASKED}\0${SELF}\0`);
  let at = table.byteLength + constant.length + limits.byteLength;
  strings.forEach((text, i) => {
    const { length } = ENCODER.encode(text);
    table.set([at, length], 2 * i);
    at += length + 1;
  });
  const end = ENCODER.encode([...strings, MARK, ""].join("\0"));
  const tables = [new Uint8Array(table.buffer), constant, new Uint8Array(limits.buffer)];
  const body = concat([code, ...tables, end]);
  return concat([elfHeaders(machine, HEADERS + body.length), body]);
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
export function findLauncher(path: string): FoundLauncher | undefined {
  const file = Deno.statSync(path);
  if (!file.isFile || file.size > LONGEST) return undefined;
  const key = stateKey(file);
  if (!known.has(key)) known.set(key, readLauncher(path));
  return known.get(key);
}

type FoundLauncher = Launcher & { isIntact: boolean };

/** What files were found to be, by their states: attaches ask of the same few, again and again. */
const known = new Map<string, FoundLauncher | undefined>();

function readLauncher(path: string): FoundLauncher | undefined {
  // Ours may be read by all.
  const bytes = unless(isA(Deno.errors.PermissionDenied), () => Deno.readFileSync(path));
  if (!bytes) return undefined;
  const [answer, , , type, program, mark] = new TextDecoder().decode(bytes).split("\0").slice(-7);
  if (mark !== MARK || !answer || !type || !program) return undefined;
  const launcher = { type, program, answer };
  const wanted = launcherBytes(launcher);
  const isIntact = wanted.length === bytes.length && wanted.every((byte, i) => byte === bytes[i]);
  return { ...launcher, isIntact };
}
