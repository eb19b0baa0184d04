/** What nobody but root can do. */
import { OperatorError } from "../base/error.ts";
import { isRoot } from "../kernel/process.ts";

const OF_CONTAINERS =
  "networks of containers need root: use sudo. To try it out without, in a network that ends with " +
  "the shell: unshare -r -n -m -u sh -c 'mount -t tmpfs none /run && mount -t tmpfs none " +
  "/var/lib && ip link set lo up && exec sh'";

/** @throws {OperatorError} `not_root` without root's rights */
export function requireRoot(why = OF_CONTAINERS): void {
  if (!isRoot()) throw new OperatorError("not_root", why);
}
