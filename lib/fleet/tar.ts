/** An archive of texts: POSIX ustar (IEEE Std 1003.1, pax), with extended headers for long names. */

export interface ArchivedFile {
  /** Relative, with `/` between its parts. */
  path: string;
  text: string;
}

const BLOCK = 512;
const NAME = 100;
/** Types of what follows a header: a file, and what is to be known of the next one. */
const [FILE, EXTENDED] = ["0", "x"];

const ENCODER = new TextEncoder();

/** @param time of all files, in seconds since 1970 */
export function* tar(
  files: readonly ArchivedFile[],
  time: number,
): Generator<Uint8Array<ArrayBuffer>> {
  for (const { path, text } of files) {
    if (ENCODER.encode(path).length > NAME) {
      yield* entry(EXTENDED, "PaxHeaders", pathRecord(path), time);
    }
    yield* entry(FILE, path, text, time);
  }
  yield new Uint8Array(2 * BLOCK);
}

/** A record begins with its own length, in decimal digits. */
function pathRecord(path: string): string {
  const rest = ` path=${path}\n`;
  const bytes = ENCODER.encode(rest).length;
  const length = bytes + `${bytes + `${bytes}`.length}`.length;
  return `${length}${rest}`;
}

function* entry(type: string, path: string, text: string, time: number) {
  const content = ENCODER.encode(text);
  yield header(type, path, content.length, time);
  yield content;
  yield new Uint8Array((BLOCK - content.length % BLOCK) % BLOCK);
}

function header(type: string, path: string, size: number, time: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string, most: number) =>
    block.set(ENCODER.encode(text).subarray(0, most), at);
  const number = (at: number, value: number, digits: number) =>
    put(at, value.toString(8).padStart(digits, "0"), digits);
  put(0, path, NAME);
  number(100, 0o600, 7);
  number(108, 0, 7);
  number(116, 0, 7);
  number(124, size, 11);
  number(136, time, 11);
  put(148, "        ", 8); // the sum itself counts as blanks
  put(156, type, 1);
  put(257, "ustar\x0000", 8);
  put(265, "root", 32);
  put(297, "root", 32);
  number(148, block.reduce((sum, byte) => sum + byte, 0), 6);
  block[154] = 0;
  return block;
}
