/** Files that a flag `--output` names. */
import { resolve } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { writeCheckpoint } from "../kernel/atomic_file.ts";
import type { Content } from "../kernel/files.ts";
import { isGone, stateOf } from "../kernel/proc.ts";

/**
 * Writes a file in one step. What takes the place of another file must not take that of /dev/null, nor
 * that of a pipe which somebody reads.
 *
 * @throws {OperatorError} `file`
 */
export function writeOutputFile(file: string, content: Content, mode?: number): void {
  const path = resolve(file);
  if (!isFileOrAbsent(path)) {
    throw new OperatorError(
      "file",
      `can't write ${path}: it is no regular file; name one, or leave --output away`,
    );
  }
  writeCheckpoint(path, content, mode);
}

function isFileOrAbsent(path: string): boolean {
  try {
    return stateOf(path).isFile;
  } catch (error) {
    if (isGone(error)) return true;
    throw error;
  }
}
