/** Files that a crash leaves either as they were or as they should be. */
import { basename, dirname, join } from "@std/path";

/** What a crash may leave behind of a write; read by nobody, and gone with its directory. */
const TEMPORARY = ".new-";

/**
 * Writes a file, in a directory that it makes if need be: to a temporary file, flushed to the
 * disk, then renamed.
 */
export function writeCheckpoint(path: string, text: string, mode = 0o644): void {
  const directory = dirname(path);
  Deno.mkdirSync(directory, { recursive: true });
  const temporary = join(directory, `${TEMPORARY}${basename(path)}`);
  {
    using file = Deno.openSync(temporary, { write: true, create: true, truncate: true, mode });
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
    file.syncDataSync();
  }
  Deno.renameSync(temporary, path);
}

/** The text of a file, or undefined if there is none. */
export function readCheckpoint(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a file or a directory with all that is in it; none is fine too. */
export function removeCheckpoint(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
