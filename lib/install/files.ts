/** Putting a file, a program or a symlink in its place: at once, or not at all. */
import { basename, dirname, join } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { writeCheckpoint } from "../base/atomic_file.ts";

export type Change = "made" | "changed" | "unchanged";

/** Writes a text file. */
export function placeText(path: string, text: string): Change {
  let before: string | undefined;
  try {
    before = Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (before === text) return "unchanged";
  writeCheckpoint(path, text);
  return before === undefined ? "made" : "changed";
}

/**
 * Makes `path` a symlink to `target`. Another symlink is replaced.
 *
 * @throws {OperatorError} `in_the_way` if anything else is there
 */
export function placeSymlink(path: string, target: string): Change {
  const before = symlinkAt(path);
  if (before === target) return "unchanged";
  Deno.mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.new-${basename(path)}`);
  try {
    Deno.removeSync(temporary);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.symlinkSync(target, temporary);
  Deno.renameSync(temporary, path);
  return before === undefined ? "made" : "changed";
}

function symlinkAt(path: string): string | undefined {
  try {
    if (!Deno.lstatSync(path).isSymlink) {
      throw new OperatorError(
        "in_the_way",
        `${path} is there and not ours: move it away first, for instance with ` +
          `mv ${path} ${path}.original`,
      );
    }
    return Deno.readLinkSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Copies a program, flushed to the disk before it gets its name. */
export function placeProgram(source: string, path: string): Change {
  try {
    if (Deno.statSync(path).size === Deno.statSync(source).size) return "unchanged";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.new-${basename(path)}`);
  Deno.copyFileSync(source, temporary);
  Deno.chmodSync(temporary, 0o755);
  {
    using file = Deno.openSync(temporary);
    file.syncDataSync();
  }
  Deno.renameSync(temporary, path);
  return "made";
}
