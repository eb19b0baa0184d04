/** bpf(2) by FFI: a program that is run once, one that watches a tracepoint, and who is attached. */
import { unlessRefused } from "../base/unless.ts";
import { check, cString, openLibc, SystemError } from "./libc.ts";
import { Handle, O_CLOEXEC, O_DIRECTORY, O_RDONLY, open } from "./files.ts";
import { inNamespaces } from "./namespaces.ts";

const libc = openLibc({
  syscall: { parameters: ["i64", "i64", "buffer", "i64"], result: "i64" },
});

const SYS_BPF = Deno.build.arch === "aarch64" ? 280n : 321n;
const ATTR_BYTES = 144;

/** Commands (enum bpf_cmd, linux/bpf.h). */
const BPF_MAP_CREATE = 0;
const BPF_MAP_LOOKUP_ELEM = 1;
const BPF_PROG_LOAD = 5;
const BPF_PROG_TEST_RUN = 10;
const BPF_PROG_QUERY = 16;
const BPF_RAW_TRACEPOINT_OPEN = 17;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_LINK_GET_FD_BY_ID = 30;
const BPF_LINK_GET_NEXT_ID = 31;

const BPF_PROG_TYPE_SCHED_CLS = 3;
const BPF_PROG_TYPE_RAW_TRACEPOINT = 17;
const BPF_MAP_TYPE_ARRAY = 2;
const BPF_TCX_INGRESS = 46;
const BPF_TCX_EGRESS = 47;
const BPF_F_INGRESS = 1;
const HELPER_CLONE_REDIRECT = 13;

/** Nothing that a call reads may be collected before it returns. */
function bpf(command: number, attr: Attr, what: string): number {
  return Number(
    check(libc().syscall(SYS_BPF, BigInt(command), attr.bytes, BigInt(ATTR_BYTES)), what),
  );
}

/** union bpf_attr, written field by field. */
class Attr {
  readonly bytes = new Uint8Array(ATTR_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #kept: Uint8Array[] = [];

  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  pointer(offset: number, target: Uint8Array<ArrayBuffer>): this {
    this.#kept.push(target);
    const pointer = Deno.UnsafePointer.of(target);
    this.#view.setBigUint64(offset, BigInt(Deno.UnsafePointer.value(pointer)), true);
    return this;
  }

  get(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
}

/** One instruction (struct bpf_insn). */
export function instruction(
  code: number,
  dst = 0,
  src = 0,
  offset = 0,
  immediate = 0,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  bytes[0] = code;
  bytes[1] = src << 4 | dst;
  view.setInt16(2, offset, true);
  view.setInt32(4, immediate, true);
  return bytes;
}

function load(type: number, program: readonly Uint8Array[], what: string): Handle {
  const code = new Uint8Array(program.length * 8);
  program.forEach((one, i) => code.set(one, i * 8));
  const attr = new Attr().u32(0, type).u32(4, program.length).pointer(8, code)
    .pointer(16, cString("GPL"));
  return new Handle(bpf(BPF_PROG_LOAD, attr, what));
}

/**
 * Lets a frame enter an interface as if its hardware had just received it: it passes the tap, tc's
 * ingress, netfilter's ingress and all that follows. A program is run once that sends a clone of
 * its packet to the ingress of that interface, so nothing is attached, and nothing is left.
 *
 * A program of XDP in the driver is not passed, since that one runs before there is a packet.
 *
 * @param index of the interface, in this process's network namespace
 * @param frame with its Ethernet header
 * @throws {SystemError} `EPERM` without CAP_BPF, `ENOSYS` where the kernel has no bpf(2)
 */
export function receiveAs(index: number, frame: Uint8Array<ArrayBuffer>): void {
  const what = `let a frame enter interface ${index}`;
  using program = load(BPF_PROG_TYPE_SCHED_CLS, [
    instruction(0xb7, 2, 0, 0, index),
    instruction(0xb7, 3, 0, 0, BPF_F_INGRESS),
    instruction(0x85, 0, 0, 0, HELPER_CLONE_REDIRECT),
    instruction(0x95),
  ], what);
  const attr = new Attr().u32(0, program.fd).u32(8, frame.length).pointer(16, frame).u32(32, 1);
  bpf(BPF_PROG_TEST_RUN, attr, what);
  const failed = attr.get(4) | 0;
  if (failed < 0) throw new SystemError(-failed, what);
}

/** A map of `entries` values of `bytes` each, all zero at first (BPF_MAP_TYPE_ARRAY). */
export class ArrayMap extends Handle {
  constructor(readonly entries: number, readonly valueBytes: number) {
    super(bpf(
      BPF_MAP_CREATE,
      new Attr().u32(0, BPF_MAP_TYPE_ARRAY).u32(4, 4).u32(8, valueBytes).u32(12, entries),
      "make a map",
    ));
  }

  /** @throws {SystemError} */
  get(index: number): Uint8Array<ArrayBuffer> {
    const value = new Uint8Array((this.valueBytes + 7) & ~7);
    const key = new Uint8Array(new Uint32Array([index]).buffer);
    bpf(
      BPF_MAP_LOOKUP_ELEM,
      new Attr().u32(0, this.fd).pointer(8, key).pointer(16, value),
      "read a map",
    );
    return value;
  }
}

/** A program at a tracepoint of the kernel; it is detached when this is closed, or its process dies. */
export class TracepointProgram implements Disposable {
  readonly #program: Handle;
  readonly #link: Handle;

  /** @throws {SystemError} */
  constructor(name: string, program: readonly Uint8Array[]) {
    const what = `watch the tracepoint ${name}`;
    this.#program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, program, what);
    try {
      this.#link = new Handle(bpf(
        BPF_RAW_TRACEPOINT_OPEN,
        new Attr().pointer(0, cString(name)).u32(8, this.#program.fd),
        what,
      ));
    } catch (error) {
      this.#program.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#link.close();
    this.#program.close();
  }
}

/**
 * How many programs of tcx (Linux 6.6) are attached to an interface.
 *
 * @returns 0 where the kernel does not know of tcx
 */
export function tcxPrograms(
  index: number,
  direction: "ingress" | "egress",
  netns?: string,
): number {
  const hook = direction === "ingress" ? BPF_TCX_INGRESS : BPF_TCX_EGRESS;
  const query = () => programsAt(index, hook);
  return netns === undefined ? query() : inNamespaces({ net: netns }, query);
}

/** How many programs hang at a hook; 0 where the kernel does not know of it. */
function programsAt(target: number, hook: number, flags = 0): number {
  const attr = new Attr().u32(0, target).u32(4, hook).u32(8, flags);
  return unlessRefused(() => {
    bpf(BPF_PROG_QUERY, attr, "count programs");
    return attr.get(24);
  }) ?? 0;
}

/** Hooks of a cgroup that packets and connections of its processes pass (enum bpf_attach_type). */
const CGROUP_HOOKS = {
  ...{ ingress: 0, egress: 1, sock_create: 2, connect4: 10, connect6: 11 },
  ...{ sendmsg4: 14, sendmsg6: 15, recvmsg4: 19, recvmsg6: 20 },
};
/** Those of the groups above it too. */
const BPF_F_QUERY_EFFECTIVE = 1;

/**
 * The hooks of a cgroup (v2) at which programs hang, with their number: `connect4: 1`.
 *
 * @param path its directory @throws {SystemError}
 */
export function cgroupPrograms(path: string): string[] {
  using group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return Object.entries(CGROUP_HOOKS).flatMap(([name, hook]) => {
    const count = programsAt(group.fd, hook, BPF_F_QUERY_EFFECTIVE);
    return count > 0 ? [`${name}: ${count}`] : [];
  });
}

/** A program that hangs at a hook by a descriptor that somebody holds (bpf_link). */
export interface BpfLink {
  id: number;
  program: number;
  kind: "xdp" | "tcx";
  /** Index of the interface, in a namespace that is not told. */
  device: number;
}

const LINK_KINDS: Readonly<Record<number, BpfLink["kind"]>> = { 6: "xdp", 11: "tcx" };
const LINK_INFO_BYTES = 64;
const MOST_LINKS = 1000;

/** All such links of the machine; none where the kernel or these rights do not tell. */
export function bpfLinks(): BpfLink[] {
  const found: BpfLink[] = [];
  // ENOENT ends the list.
  unlessRefused(() => {
    for (let id = 0, seen = 0; seen < MOST_LINKS; seen++) {
      const next = new Attr().u32(0, id);
      bpf(BPF_LINK_GET_NEXT_ID, next, "list programs at hooks");
      id = next.get(4);
      const fd = new Attr().u32(0, id);
      using handle = new Handle(bpf(BPF_LINK_GET_FD_BY_ID, fd, "look at a program at a hook"));
      const bytes = new Uint8Array(LINK_INFO_BYTES);
      const info = new Attr().u32(0, handle.fd).u32(4, LINK_INFO_BYTES).pointer(8, bytes);
      bpf(BPF_OBJ_GET_INFO_BY_FD, info, "look at a program at a hook");
      const view = new DataView(bytes.buffer);
      const kind = LINK_KINDS[view.getUint32(0, true)];
      if (!kind) continue;
      found.push({
        id: view.getUint32(4, true),
        program: view.getUint32(8, true),
        kind,
        device: view.getUint32(16, true),
      });
    }
  });
  return found;
}
