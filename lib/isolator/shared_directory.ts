/**
 * The directory of containers as a shared mount in a peer group of its own: containers whose
 * mount namespaces were cloned before then see the handles of others disappear at their cleanup,
 * instead of keeping dead networks alive.
 */
import { bindMount, mount, mounts, MS_PRIVATE, MS_SHARED } from "../linux/mount.ts";
import type { Layout } from "./layout.ts";

export function shareContainersDirectory({ containers }: Layout): void {
  Deno.mkdirSync(containers, { recursive: true });
  const path = Deno.realPathSync(containers);
  const all = mounts();
  const own = all.findLast((mount) => mount.mountPoint === path);
  if (own?.shared && !all.some((other) => other !== own && other.shared === own.shared)) return;
  if (!own) bindMount(path, path);
  mount(null, path, null, MS_PRIVATE);
  mount(null, path, null, MS_SHARED);
}
