/**
 * The directory of containers as a shared mount in a peer group of its own: containers whose
 * mount namespaces were cloned before then see the handles of others disappear at their cleanup,
 * instead of keeping dead networks alive.
 */
import { makeDirectory } from "../kernel/atomic_file.ts";
import { FileLock } from "../kernel/lock.ts";
import { bindMount, mount, mountIdOf, mounts, MS_PRIVATE, MS_SHARED } from "../kernel/mount.ts";
import { type Layout, REQUESTS_MODE } from "../containers/layout.ts";

/** How long, in ms, another process may take for the same. */
const PATIENCE = 10_000;

/**
 * The mounts that were seen to be so, by path. A service looks once, and not for each container
 * through the handles of all others.
 */
const seen = new Map<string, string>();

/** @throws {OperatorError} */
export async function shareContainersDirectory(layout: Layout): Promise<void> {
  const { containers } = layout;
  makeDirectory(containers);
  const path = Deno.realPathSync(containers);
  if (seen.get(path) === mountIdOf(path)) return;
  await share(path, layout);
  seen.set(path, mountIdOf(path));
}

async function share(path: string, { requests, sharingLock }: Layout): Promise<void> {
  if (isShared(path)) return;
  makeDirectory(requests, REQUESTS_MODE);
  // Of two that mount at the same time, the second would hide the handles of the first.
  using _ = await FileLock.require(sharingLock, PATIENCE, "another process");
  if (isShared(path)) return;
  const all = mounts();
  if (!all.some(({ mountPoint }) => mountPoint === path)) {
    // A bind would hide the handles that are mounted below: all their containers would look dead.
    if (all.some(({ mountPoint }) => mountPoint.startsWith(`${path}/`))) return;
    bindMount(path, path);
  }
  mount(null, path, null, MS_PRIVATE);
  mount(null, path, null, MS_SHARED);
}

function isShared(path: string): boolean {
  const all = mounts();
  const own = all.findLast((mount) => mount.mountPoint === path);
  return own?.shared !== undefined &&
    !all.some((other) => other !== own && other.shared === own.shared);
}
