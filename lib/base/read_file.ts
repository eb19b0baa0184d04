/** Files that somebody names or can write to: regular ones only, of a bounded size. */
import { OperatorError } from "./error.ts";
import { withFile } from "./file_error.ts";

/** A settings file is some KiB; what is longer is not one. */
const LONGEST = 4 << 20;

/**
 * The text of a regular file.
 *
 * @param limit bytes that are too many
 * @throws {OperatorError} `file` if it can't be read, is none (a pipe would be waited for, for
 *   ever) or is longer than `limit`
 */
export function readTextFile(path: string, limit = LONGEST): string {
  return withFile("read", path, () => {
    if (!Deno.statSync(path).isFile) {
      throw new OperatorError("file", `can't read ${path}: it is no regular file`);
    }
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(Math.min(limit, file.statSync().size + 1) + 1);
    let length = 0;
    for (let count; (count = file.readSync(bytes.subarray(length)));) length += count;
    if (length > limit) {
      throw new OperatorError("file", `can't read ${path}: it has more than ${limit} bytes`);
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  });
}
