/** The ends of a child's pipes, of which neither the amount nor the end is ours to decide. */
import { concat, textOf } from "../base/bytes.ts";

export interface Collected {
  /** The kept text, once the pipe is closed or abandoned. */
  text: Promise<string>;
  /** Stops waiting for a pipe that something else than the child still holds open. */
  abandon(): void;
}

/**
 * Reads a pipe to its end and keeps the last `limit` bytes.
 *
 * @param onExcess called once, when there is more than that
 */
export function collect(
  pipe: ReadableStream<Uint8Array<ArrayBuffer>>,
  limit: number,
  onExcess?: () => void,
): Collected {
  const reader = pipe.getReader();
  const read = async () => {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let kept = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      kept += value.length;
      if (kept > limit && onExcess) {
        onExcess();
        onExcess = undefined;
      }
      while (kept - chunks[0]!.length >= limit) kept -= chunks.shift()!.length;
    }
    return textOf(concat(chunks).subarray(Math.max(0, kept - limit)));
  };
  return { text: read(), abandon: () => void reader.cancel() };
}

/** Writes all of a text and closes the pipe. A child that ends without reading is no error here. */
export async function feed(pipe: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = pipe.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // The child's exit says what became of it.
  }
}
