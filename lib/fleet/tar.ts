/** An archive of texts: POSIX ustar (IEEE Std 1003.1, pax), which has room for names of 255 bytes. */

export interface ArchivedFile {
  /** Relative, with `/` between its parts. */
  path: string;
  text: string;
}

const BLOCK = 512;
const NAME = 100;

/** @param time of all files, in seconds since 1970 */
export function* tar(
  files: readonly ArchivedFile[],
  time: number,
): Generator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  for (const { path, text } of files) {
    const content = encoder.encode(text);
    yield header(path, content.length, time);
    yield content;
    yield new Uint8Array((BLOCK - content.length % BLOCK) % BLOCK);
  }
  yield new Uint8Array(2 * BLOCK);
}

function header(path: string, size: number, time: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  // What is longer than a name is split at a slash.
  const slash = path.length <= NAME ? -1 : path.indexOf("/", path.length - NAME - 1);
  put(0, path.slice(slash + 1));
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(time, 11));
  put(148, "        "); // the sum itself counts as blanks
  put(156, "0");
  put(257, "ustar\x0000");
  put(265, "root");
  put(297, "root");
  if (slash >= 0) put(345, path.slice(0, slash));
  put(148, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\x00 `);
  return block;
}
