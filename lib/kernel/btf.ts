/** The kernel's description of its own types (BTF), as far as the reasons of drops need it. */
import { textOf } from "../base/bytes.ts";
import { readProcBytes } from "./files.ts";
import { tried } from "../base/unless.ts";

const FILE = "/sys/kernel/btf/vmlinux";
/** Bytes behind each type's header: fixed, and for each member. */
const EXTRA: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0],
  3: [12, 0],
  4: [0, 12],
  5: [0, 12],
  6: [0, 8],
  13: [0, 8],
  14: [4, 0],
  15: [0, 12],
  17: [4, 0],
  19: [0, 12],
};
const STRUCT = 4, UNION = 5, ENUM = 6, MODIFIERS = [8, 9, 10, 11, 18];

/** Offsets in bytes, and the names of the reasons. */
export type KernelTypes = NonNullable<ReturnType<typeof kernelTypes>>;

/** @returns undefined where the kernel does not describe itself, or has no such things */
export function kernelTypes() {
  const bytes = tried(() => readProcBytes(FILE), undefined);
  if (!bytes) return undefined;
  const btf = new Btf(bytes);
  const skb = btf.find(STRUCT, "sk_buff");
  const device = btf.find(STRUCT, "net_device");
  const net = btf.find(STRUCT, "net");
  const common = btf.find(STRUCT, "ns_common");
  const reasons = btf.find(ENUM, "skb_drop_reason");
  const head = skb && btf.offset(skb, "head");
  const networkHeader = skb && btf.offset(skb, "network_header");
  const at = skb && btf.offset(skb, "dev");
  const name = device && btf.offset(device, "name");
  const of = device && btf.offset(device, "nd_net");
  const ns = net && btf.offset(net, "ns");
  const inode = common && btf.offset(common, "inum");
  if (
    head === undefined || networkHeader === undefined || at === undefined || name === undefined ||
    of === undefined || ns === undefined || inode === undefined
  ) return undefined;
  return {
    head,
    networkHeader,
    device: at,
    deviceName: name,
    deviceNet: of,
    netInode: ns + inode,
    reasons: reasons ? btf.values(reasons) : new Map(),
  };
}

class Btf {
  readonly #view: DataView;
  readonly #strings: number;
  readonly #types: number[] = [0];

  constructor(private readonly bytes: Uint8Array) {
    const view = this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const header = view.getUint32(4, true);
    const start = header + view.getUint32(8, true);
    const end = start + view.getUint32(12, true);
    this.#strings = header + view.getUint32(16, true);
    for (let at = start; at < end;) {
      this.#types.push(at);
      const [fixed, each] = EXTRA[this.#kind(at)] ?? [0, 0];
      at += 12 + fixed + each * this.#count(at);
    }
  }

  #kind(at: number): number {
    return this.#view.getUint32(at + 4, true) >>> 24 & 0x1f;
  }

  #count(at: number): number {
    return this.#view.getUint32(at + 4, true) & 0xffff;
  }

  #name(at: number): string {
    const start = this.#strings + this.#view.getUint32(at, true);
    return textOf(this.bytes.subarray(start, this.bytes.indexOf(0, start)));
  }

  #isNamed(at: number, name: Uint8Array): boolean {
    const start = this.#strings + this.#view.getUint32(at, true);
    return name.every((byte, i) => this.bytes[start + i] === byte);
  }

  find(kind: number, name: string): number | undefined {
    const wanted = new TextEncoder().encode(name + "\0");
    return this.#types.find((at, i) =>
      i > 0 && this.#kind(at) === kind && this.#count(at) > 0 && this.#isNamed(at, wanted)
    );
  }

  /** Where a member is, in bytes, also within structures and unions without a name. */
  offset(at: number, member: string): number | undefined {
    const flagged = this.#view.getUint32(at + 4, true) >>> 31;
    for (let i = 0; i < this.#count(at); i++) {
      const entry = at + 12 + i * 12;
      const raw = this.#view.getUint32(entry + 8, true);
      const offset = (flagged ? raw & 0xffffff : raw) >>> 3;
      if (this.#view.getUint32(entry, true) !== 0 && this.#name(entry) === member) return offset;
      const inner = this.#resolve(this.#view.getUint32(entry + 4, true));
      // A group that struct_group() makes has a name and an anonymous twin.
      if (this.#view.getUint32(entry, true) !== 0 || inner === undefined) continue;
      const found = this.offset(inner, member);
      if (found !== undefined) return offset + found;
    }
    return undefined;
  }

  #resolve(id: number): number | undefined {
    for (let i = 0; i < 10; i++) {
      const at = this.#types[id];
      if (!at) return undefined;
      const kind = this.#kind(at);
      if (kind === STRUCT || kind === UNION) return at;
      if (!MODIFIERS.includes(kind)) return undefined;
      id = this.#view.getUint32(at + 8, true);
    }
    return undefined;
  }

  values(at: number): Map<number, string> {
    const found = new Map<number, string>();
    for (let i = 0; i < this.#count(at); i++) {
      const entry = at + 12 + i * 8;
      found.set(
        this.#view.getUint32(entry + 4, true),
        this.#name(entry).replace("SKB_DROP_REASON_", ""),
      );
    }
    return found;
  }
}
