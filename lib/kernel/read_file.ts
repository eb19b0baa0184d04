/** Files that somebody names or can write to: regular ones only, of a bounded size. */
import { OperatorError } from "../base/error.ts";
import { withFile } from "../base/file_error.ts";
import { type Handle, open, readWhole } from "./files.ts";
import { stateOf } from "./proc.ts";

/** A settings file is some KiB; what is longer is not one. */
const LONGEST = 4 << 20;

/**
 * Opens a regular file; undefined for anything else. Opening a device may do something, and opening a
 * pipe waits for who writes to it, so that it is looked at first; and once more when it is open, since
 * another file may have come to this name meanwhile.
 *
 * @throws {SystemError}
 */
export function openRegular(path: string): Handle | undefined {
  if (!stateOf(path).isFile) return undefined;
  const file = open(path);
  if (stateOf(file.path).isFile) return file;
  file.close();
  return undefined;
}

/**
 * The text of a regular file.
 *
 * @param limit bytes that are too many
 * @throws {OperatorError} `file` if it can't be read, is none or is longer than `limit`
 */
export function readTextFile(path: string, limit = LONGEST): string {
  return withFile("read", path, () => {
    using file = openRegular(path);
    if (!file) throw new OperatorError("file", `can't read ${path}: it is no regular file`);
    return readWhole(file, path, limit);
  });
}
