/** Making the root directory of an image a process's own root. */
import { chdir, pivotRoot } from "../kernel/root.ts";
import { bindMount, mount, MS_REC, MS_SLAVE, unmount } from "../kernel/mount.ts";
import { isA, unless } from "../base/unless.ts";

/** What every program expects to find. */
const FROM_THE_AGENT = ["proc", "sys", "dev"];

/**
 * Moves this process, which must have a mount namespace of its own, into an image: `/proc`,
 * `/sys` and `/dev` are the agent's (where the image has such a directory), everything else is
 * the image's.
 *
 * @throws {SystemError}
 */
export function enterImage(rootfs: string): void {
  mount(null, "/", null, MS_SLAVE | MS_REC);
  bindMount(rootfs, rootfs, MS_REC);
  for (const name of FROM_THE_AGENT) {
    const target = `${rootfs}/${name}`;
    // A symlink of the image could lead the mount out of it.
    if (isRealDirectory(target)) bindMount(`/${name}`, target, MS_REC);
  }
  chdir(rootfs);
  // The old root ends up on top of the new one, and is what the unmount takes away.
  pivotRoot();
  unmount(".");
  chdir("/");
}

function isRealDirectory(path: string): boolean {
  return unless(isA(Deno.errors.NotFound), () => Deno.lstatSync(path).isDirectory) ?? false;
}
