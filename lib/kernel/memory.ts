/** Bytes in memory, by the C library: it looks at sixteen of them while this program looks at one. */
import { openLibc } from "./libc.ts";

const libc = openLibc({
  memmem: { parameters: ["buffer", "usize", "buffer", "usize"], result: "pointer" },
});

/** Whether bytes hold others, at any place. */
export function holds(bytes: Uint8Array, part: Uint8Array): boolean {
  const [all, own] = [bytes, part] as Uint8Array<ArrayBuffer>[];
  return libc().memmem(all!, BigInt(bytes.length), own!, BigInt(part.length)) !== null;
}

/** Whether bytes hold one of several others. */
export function holdsAny(parts: readonly Uint8Array[]): (bytes: Uint8Array) => boolean {
  return (bytes) => parts.some((part) => holds(bytes, part));
}
