/** The directories that `install` is told, held against the machine before anything is changed. */
import { OperatorError } from "../base/error.ts";
import { errnoName, withFile } from "../base/file_error.ts";

/** Where plugins and configs usually are: these are made, while another name may be a typo. */
const USUAL: readonly string[] = [
  "/etc/cni/net.d",
  "/etc/mesos/cni",
  "/etc/systemd/system",
  "/opt/cni/bin",
  "/usr/lib/cni",
  "/usr/libexec/cni",
  "/usr/local/bin",
  "/usr/local/share",
];

/**
 * @param path absolute
 * @param flag the flag that it comes from
 * @throws {OperatorError} `bad_place` if it is no directory that could be meant
 */
export function checkPlace(path: string, flag: string): void {
  const fail = (why: string) => new OperatorError("bad_place", `--${flag}=${path}: ${why}`);
  // A line break would begin a new line in a unit, and a colon ends a directory of a search path.
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(path)) throw fail("a path with control characters is not taken");
  if (path.length > 4000) throw fail("the path is too long");
  let info: Deno.FileInfo | undefined;
  try {
    info = withFile("look at", path, () => Deno.statSync(path));
  } catch (error) {
    if (errnoName((error as Error).cause) !== "ENOENT") throw fail((error as Error).message);
  }
  if (info && !info.isDirectory) throw fail("it is no directory");
  if (!info && !USUAL.includes(path)) {
    throw fail(`there is no such directory; if it is the right one, make it: mkdir -p ${path}`);
  }
}
