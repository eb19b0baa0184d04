/** Files that a crash leaves either as they were or as they should be. */
import { dirname } from "@std/path";

/** At the end of what a crash may leave behind of a write; read by nobody. */
const UNFINISHED = ".new";

/**
 * Writes a file, in a directory that it makes if need be: to a temporary file, flushed to the
 * disk, then renamed.
 */
export function writeCheckpoint(path: string, text: string, mode = 0o644): void {
  Deno.mkdirSync(dirname(path), { recursive: true });
  const temporary = path + UNFINISHED;
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

/** Removes a file, with what a crash may have left of its write; none is fine too. */
export function removeCheckpoint(path: string): void {
  remove(path + UNFINISHED);
  remove(path);
}

/**
 * Removes a directory with all that is in it, and nothing beside it: `ID.new` is what the nested
 * container `new` of ID is called. None is fine too.
 */
export function removeDirectory(path: string): void {
  remove(path);
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
