/**
 * Why the kernel dropped a probe (the tracepoint skb:kfree_skb and its reasons, since Linux 5.17).
 *
 * A program of bpf(2) at the tracepoint compares each dropped packet with the probes, so that the
 * drops of other traffic are neither counted nor kept. It is the socket's own descriptor that holds
 * it: it goes with this process, however that ends.
 */
import { isA, unless } from "../../base/unless.ts";
import { ArrayMap, instruction, TracepointProgram } from "../../kernel/bpf.ts";
import { readProcFile } from "../../kernel/files.ts";
import { ETH_P_IP, ETH_P_IPV6, readPacket, type Seen } from "../packets/frame.ts";
import type { Tokens } from "../packets/filter.ts";
import { type KernelTypes, kernelTypes } from "../../kernel/btf.ts";

/** A packet of a probe that the kernel dropped. */
export interface Drop {
  /** Such as `NETFILTER_DROP`, `IP_RPFILTER`, `NOT_SPECIFIED`. */
  reason: string;
  /** The function that dropped it, such as `br_handle_frame`; absent where it can't be told. */
  location?: string;
  device: string;
  /** The inode of the network namespace that has the device; absent where it can't be told. */
  namespace?: number;
  packet?: Seen;
}

const SLOTS = 64;
const PACKET_BYTES = 64;
const NAME_AT = 16 + PACKET_BYTES;
const NAMESPACE_AT = NAME_AT + 16;
const VALUE_BYTES = NAMESPACE_AT + 8;
const HELPER_MAP_LOOKUP = 1;
const HELPER_PROBE_READ_KERNEL = 113;

let types: KernelTypes | undefined | null = null;

export class Drops implements Disposable {
  readonly #map: ArrayMap;
  readonly #program: TracepointProgram;
  readonly #types: KernelTypes;

  /** @throws {Error} where this kernel or these rights do not allow it */
  constructor(tokens: Tokens) {
    if (types === null) types = kernelTypes();
    if (!types) throw new Error("the kernel does not describe its types (/sys/kernel/btf/vmlinux)");
    this.#types = types;
    this.#map = new ArrayMap(SLOTS, VALUE_BYTES);
    try {
      this.#program = new TracepointProgram("kfree_skb", watch(types, this.#map.fd, tokens));
    } catch (error) {
      this.#map.close();
      throw error;
    }
  }

  /** All drops since the start. */
  seen(): Drop[] {
    const count = Number(new DataView(this.#map.get(0).buffer).getBigUint64(0, true));
    return Array.from(
      { length: Math.min(count, SLOTS - 1) },
      (_, i) => this.#read(this.#map.get(i + 1)),
    );
  }

  #read(value: Uint8Array<ArrayBuffer>): Drop {
    const view = new DataView(value.buffer);
    const bytes = value.subarray(16, 16 + PACKET_BYTES);
    const name = value.subarray(NAME_AT, NAMESPACE_AT);
    const reason = Number(view.getBigUint64(8, true) & 0xffffffffn);
    return {
      reason: this.#types.reasons.get(reason) ?? `reason ${reason}`,
      location: symbolAt(view.getBigUint64(0, true)),
      device: new TextDecoder().decode(name.subarray(0, Math.max(0, name.indexOf(0)))),
      namespace: view.getUint32(NAMESPACE_AT, true) || undefined,
      packet: readPacket(bytes[0]! >> 4 === 6 ? ETH_P_IPV6 : ETH_P_IP, bytes),
    };
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
    this.#map.close();
  }
}

const NOWHERE = "0".repeat(16);
const locations = new Map<bigint, string | undefined>();
let symbols: string | undefined;

/** The function that an address is in: of all that begin at it or before it, the last. */
function symbolAt(address: bigint): string | undefined {
  if (locations.has(address)) return locations.get(address);
  symbols ??= unless(isA(Error), () => readProcFile("/proc/kallsyms")) ?? "";
  // `ffffffff81000000 T _text`, a hundred thousand times: with all its digits, text is ordered as numbers are.
  const wanted = address.toString(16).padStart(NOWHERE.length, "0");
  let begin = NOWHERE;
  let name = "";
  for (let at = 0, end; at < symbols.length; at = end + 1) {
    end = symbols.indexOf("\n", at);
    if (end < 0) end = symbols.length;
    const type = symbols[at + NOWHERE.length + 1];
    if (type !== "t" && type !== "T") continue;
    const one = symbols.slice(at, at + NOWHERE.length);
    if (one > wanted || one < begin || one === NOWHERE) continue;
    begin = one;
    name = symbols.slice(at + NOWHERE.length + 3, end);
  }
  // Of a module's, its name follows.
  const location = name.split("\t")[0]!.replace(/\.(cold|isra|constprop|part).*$/, "") || undefined;
  locations.set(address, location);
  return location;
}

/** r6: the packet, r7: where, r8: why; the stack: -8 head, -16 offset, -80 packet, -96 name, -104 key. */
function watch(
  { head, networkHeader, device, deviceName, deviceNet, netInode }: KernelTypes,
  map: number,
  { first, last }: Tokens,
): Uint8Array[] {
  const code: Uint8Array[] = [];
  const labels = new Map<string, number>();
  const jumps: [at: number, label: string][] = [];
  const add = (...args: Parameters<typeof instruction>) => code.push(instruction(...args));
  const jump = (label: string, op: number, dst = 0, immediate = 0) => {
    jumps.push([code.length, label]);
    add(op, dst, 0, 0, immediate);
  };
  const label = (name: string) => labels.set(name, code.length);
  /** Reads `size` bytes of the kernel's memory at r3 to the stack. */
  const read = (stack: number, size: number) => {
    add(0xbf, 1, 10);
    add(0x07, 1, 0, 0, stack);
    add(0xb7, 2, 0, 0, size);
    add(0x85, 0, 0, 0, HELPER_PROBE_READ_KERNEL);
  };
  const field = (offset: number) => {
    add(0xbf, 3, 6);
    add(0x07, 3, 0, 0, offset);
  };
  const lookup = () => {
    code.push(instruction(0x18, 1, 1, 0, map), instruction(0));
    add(0xbf, 2, 10);
    add(0x07, 2, 0, 0, -104);
    add(0x85, 0, 0, 0, HELPER_MAP_LOOKUP);
    jump("out", 0x15, 0, 0);
  };

  add(0x79, 6, 1, 0);
  add(0x79, 7, 1, 8);
  add(0x79, 8, 1, 16);
  field(head);
  read(-8, 8);
  add(0x7a, 10, 0, -16, 0);
  field(networkHeader);
  read(-16, 2);
  add(0x79, 3, 10, -8);
  add(0x79, 0, 10, -16);
  add(0x0f, 3, 0);
  read(-80, PACKET_BYTES);
  jump("out", 0x55, 0, 0);
  add(0x71, 1, 10, -80);
  add(0x77, 1, 0, 0, 4);
  jump("ip", 0x15, 1, 4);
  jump("ip6", 0x15, 1, 6);
  jump("out", 0x05);
  for (const [name, at] of [["ip", 20], ["ip6", 40]] as const) {
    label(name);
    add(0x69, 2, 10, -80 + at);
    add(0x69, 3, 10, -80 + at + 2);
    add(0x69, 4, 10, -80 + at + 4);
    if (name === "ip") jump("compare", 0x05);
  }
  label("compare");
  for (const register of [2, 3, 4]) {
    add(0xdc, register, 0, 0, 16);
    // Not below the first, and not above the last.
    add(0xa5, register, 0, 1, first);
    jump("hit", 0xb5, register, last);
  }
  jump("out", 0x05);
  label("hit");
  add(0x7a, 10, 0, -104, 0);
  lookup();
  add(0x79, 1, 0, 0);
  jump("out", 0x25, 1, SLOTS - 2);
  add(0x07, 1, 0, 0, 1);
  add(0x7b, 0, 1, 0);
  add(0x63, 10, 1, -104);
  lookup();
  add(0xbf, 9, 0);
  add(0x7b, 9, 7, 0);
  add(0x7b, 9, 8, 8);
  for (let i = 0; i < PACKET_BYTES; i += 8) {
    add(0x79, 1, 10, -80 + i);
    add(0x7b, 9, 1, 16 + i);
  }
  field(device);
  read(-8, 8);
  add(0x79, 3, 10, -8);
  add(0x07, 3, 0, 0, deviceName);
  read(-96, 16);
  jump("out", 0x55, 0, 0);
  for (let i = 0; i < 16; i += 8) {
    add(0x79, 1, 10, -96 + i);
    add(0x7b, 9, 1, NAME_AT + i);
  }
  add(0x79, 3, 10, -8);
  add(0x07, 3, 0, 0, deviceNet);
  read(-8, 8);
  jump("out", 0x55, 0, 0);
  add(0x7a, 10, 0, -16, 0);
  add(0x79, 3, 10, -8);
  add(0x07, 3, 0, 0, netInode);
  read(-16, 4);
  add(0x79, 1, 10, -16);
  add(0x7b, 9, 1, NAMESPACE_AT);
  label("out");
  add(0xb7, 0, 0, 0, 0);
  add(0x95);
  for (const [at, name] of jumps) {
    new DataView(code[at]!.buffer).setInt16(2, labels.get(name)! - at - 1, true);
  }
  return code;
}
