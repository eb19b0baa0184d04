/** Files that a flag `--output` names. */
import { resolve } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { writeCheckpoint } from "../kernel/atomic_file.ts";
import type { Content } from "../kernel/files.ts";
import { isGone, linkTarget, stateOf } from "../kernel/proc.ts";
import { unless } from "../base/unless.ts";

/**
 * Writes a file in one step. What takes the place of another file must not take that of /dev/null, of
 * /dev/stdout, which is a link, or of a pipe that somebody reads.
 *
 * @throws {OperatorError} `file`
 */
export function writeOutputFile(file: string, content: Content, mode?: number): void {
  const path = resolve(file);
  if (isLink(path) || !isFileOrAbsent(path)) {
    throw new OperatorError(
      "file",
      `can't write ${path}: it is ${
        isLink(path) ? "a link" : "no regular file"
      }; name a file, or leave --output away`,
    );
  }
  writeCheckpoint(path, content, mode);
}

function isFileOrAbsent(path: string): boolean {
  return unless(isGone, () => stateOf(path).isFile) ?? true;
}

function isLink(path: string): boolean {
  try {
    linkTarget(path);
    return true;
  } catch {
    return false; // EINVAL: it is none
  }
}
