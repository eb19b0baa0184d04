/** Bytes. */

const decoder = new TextDecoder();

/** The text of some bytes, by one decoder: messages of netlink have many, and each decoder made takes its time. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Parts, one after another. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
