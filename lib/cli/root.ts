/** What nobody but root can do. */
import { OperatorError } from "../base/error.ts";
import { isRoot } from "../kernel/process.ts";

/** @throws {OperatorError} `not_root` without root's rights */
export function requireRoot(): void {
  if (isRoot()) return;
  throw new OperatorError(
    "not_root",
    "networks of containers need root: use sudo (or, to try it out, unshare -r -n -m -u)",
  );
}
