/** Standard input, output and error, which may be closed, full, endless, or set not to block. */
import { fileError } from "./file_error.ts";
import type { OperatorError } from "./error.ts";

/** How long, in ms, a reader may take nothing before output is given up. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 5;

/** Bytes of a config or a request, which is some KiB; what is longer is neither. */
const LONGEST_INPUT = 4 << 20;

interface Stream {
  writeSync(bytes: Uint8Array): number;
}

/**
 * All of standard input. It is read without a stream, which takes 2 ms to set up.
 *
 * @param most bytes
 * @throws {Error} for what is too long, or no UTF-8
 */
export async function readAllInput(most = LONGEST_INPUT): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const chunk = new Uint8Array(64 << 10);
  let text = "";
  let length = 0;
  while (true) {
    try {
      const count = Deno.stdin.readSync(chunk);
      if (count === null) return text + decoder.decode();
      length += count;
      if (length > most) throw new Error(`more than ${most} bytes`);
      text += decoder.decode(chunk.subarray(0, count), { stream: true });
    } catch (error) {
      // A runtime may hand on a pipe that does not block.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/**
 * Writes to standard output, and waits for its reader if it has to. A pipe whose reader has seen
 * enough, as `head` does, is no error.
 *
 * @returns false if there is no reader any more
 * @throws {OperatorError} `output` if it can't be written: the disk behind it is full, say
 */
export function writeOutput(text: string | Uint8Array, stream: Stream = Deno.stdout): boolean {
  let bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  let waited = 0;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(stream.writeSync(bytes));
      waited = 0;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return false;
      if (!(error instanceof Deno.errors.WouldBlock) || waited >= PATIENCE_MS) {
        throw outputError(error);
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      waited += PAUSE_MS;
    }
  }
  return true;
}

/**
 * Writes to standard error as far as that is possible at once. It never throws and never waits:
 * no operation may fail, or be held up, because nobody reads what is said about it.
 */
export function writeErrorOutput(text: string, stream: Stream = Deno.stderr): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch {
    // Closed, full, or gone: there is no other place to say so.
  }
}

function outputError(error: unknown): OperatorError {
  return fileError(error, "write", "standard output");
}
