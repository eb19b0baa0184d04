/**
 * Mounts that no other mount namespace gets a copy of.
 *
 * A new mount namespace begins with a copy of each mount of its maker's (clone(2), CLONE_NEWNS),
 * except for one kind: handles of mount namespaces, since two namespaces that hold each other
 * would never end (Linux 3.12, `copy_tree` in fs/namespace.c). Along with such a handle, all that
 * is mounted on top of it is left out. So a handle of an empty mount namespace, here called a
 * seal, is bound on a file first, and what nobody is to get a copy of is bound over it.
 */
import type { Handle } from "./files.ts";
import { O_DIRECTORY, O_PATH, open } from "./files.ts";
import { onSomeCpu } from "./cpus.ts";
import { check, openLibc, SystemError } from "./libc.ts";
import {
  bindMount,
  mount,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  unmount,
} from "./mount.ts";
import { inNewNamespaces } from "./namespaces.ts";
import { pivotRoot } from "./root.ts";
import { errno, unless } from "../base/unless.ts";

const libc = openLibc({ fchdir: { parameters: ["i32"], result: "i32" } });

/**
 * Binds a seal on a file. Seals for other files are bound from it, by {@link bindMount}.
 *
 * @param file on a private mount, since no handle of a mount namespace is propagated
 * @param directory any that is there
 * @throws {SystemError} where the kernel has no such thing, or the root is no mount (a chroot)
 */
export function bindSeal(file: string, directory: string): void {
  // The kernel binds handles of namespaces only that are younger than the caller's own. Since 6.18
  // it counts for each CPU apart, so that a new one may look older; not on the CPU that made ours.
  const bound = onSomeCpu(() => {
    using namespace = emptyMountNamespace(directory);
    return unless(errno("EINVAL"), () => {
      bindMount(namespace.path, file);
      return true;
    }) ?? false;
  });
  if (!bound) throw new SystemError(22, `mount the handle of a mount namespace on ${file}`);
}

/** A mount namespace with one empty file system, so that it keeps no mount of the agent busy. */
function emptyMountNamespace(directory: string): Handle {
  return inNewNamespaces(["mnt"], () => {
    const namespace = open("/proc/thread-self/ns/mnt");
    try {
      const what = "empty a new mount namespace";
      mount(null, "/", null, MS_PRIVATE | MS_REC, what);
      const flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
      mount("none", directory, "tmpfs", flags, what, "size=4k,nr_inodes=1,mode=0");
      using root = open(directory, O_PATH | O_DIRECTORY);
      check(libc().fchdir(root.fd), what);
      // The old root lands on top of the new one, at the working directory: see pivot_root(2).
      pivotRoot();
      unmount(".");
      return namespace;
    } catch (error) {
      namespace.close();
      throw error;
    }
  });
}
