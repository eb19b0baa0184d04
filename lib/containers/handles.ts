/**
 * The handle of a container's network namespace: what keeps it, and leads to it, for as long as
 * the container is not cleaned up.
 *
 * ```
 * cni/ID/ns ─▶ ../../mesos-cni/handles/ID      a symbolic link
 * mesos-cni/handles/                           a private mount of itself
 *   .seal                                      see lib/kernel/mount_seal.ts
 *   ID                                         the seal, and on top of it /proc/PID/ns/net
 * ```
 *
 * A stock agent mounts the handle on `cni/ID/ns` itself, and so do we where the kernel has no
 * seals. Every mount namespace that is made then gets a copy of every handle: each container
 * costs more than the one before it. Whoever opens, unmounts or removes `ns` sees no difference.
 */
import { log } from "../base/log.ts";
import { makeDirectory, removeCheckpoint, writeCheckpoint } from "../kernel/atomic_file.ts";
import { messageOf } from "../base/error.ts";
import { isA, unless, unlessRefused } from "../base/unless.ts";
import { withFile } from "../base/file_error.ts";
import type { Handle } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import { FileLock } from "../kernel/lock.ts";
import { bindSeal } from "../kernel/mount_seal.ts";
import { bindMount, mount, mounts, MS_PRIVATE, unmount } from "../kernel/mount.ts";
import { isForeign, isNamespaceHandle } from "../kernel/namespaces.ts";
import { Netlink } from "../netlink/mod.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";

/** How long, in ms, another process may take to make the directory of handles. */
const PATIENCE = 10_000;

/** How long, in ms, the end of a namespace is waited for. */
const LONGEST_END = 50;

/** Set once the kernel has refused: it will not change its mind. */
let refused = false;

/**
 * Keeps the network namespace of a process.
 *
 * @param process its directory under /proc
 * @throws {OperatorError}
 */
export async function holdNamespace(
  layout: Layout,
  id: ContainerId,
  process: Handle,
): Promise<void> {
  const namespace = `${process.path}/ns/net`;
  const path = layout.link(id);
  if (!await prepareHandles(layout)) {
    writeCheckpoint(path, "");
    bindMount(namespace, path);
    return;
  }
  const handle = layout.handle(id);
  removeHandle(handle);
  makeEmpty(handle);
  bindMount(layout.seal, handle);
  bindMount(namespace, handle);
  makeDirectory(layout.container(id));
  // Last: it never leads to a seal alone.
  withFile("make", path, () => Deno.symlinkSync(layout.handleFromContainer(id), path));
}

/**
 * As {@link releaseNamespace}, and waits a moment for the end of the namespace.
 *
 * @returns whether it has ended, so that nothing is in it; false also where that isn't known
 * @throws {OperatorError}
 */
export async function endNamespace(layout: Layout, id: ContainerId): Promise<boolean> {
  using host = Netlink.open();
  const number = unlessRefused(() => numberOf(host, layout.namespace(id)));
  releaseNamespace(layout, id);
  return number !== undefined && await hasEnded(host, number);
}

/** The number by which this namespace knows that of a handle; undefined for what is none, and for this one. */
function numberOf(host: Netlink, handle: string): number | undefined {
  if (!isForeign(handle)) return undefined;
  host.numberNamespace(handle);
  return host.namespaceId(handle);
}

/** The kernel closes a netlink socket that was in use there some 20 ms later. */
async function hasEnded(host: Netlink, number: number): Promise<boolean> {
  const deadline = performance.now() + LONGEST_END;
  while (host.hasNamespace(number)) {
    if (performance.now() >= deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return true;
}

/**
 * Lets a container's network namespace go. Of one that is not held, nothing happens.
 *
 * @throws {OperatorError}
 */
export function releaseNamespace(layout: Layout, id: ContainerId): void {
  const path = layout.link(id);
  if (isSymlink(path)) withFile("remove", path, () => Deno.removeSync(path));
  // A mount may lie there more than once, if a cleanup was cut off by a reboot of the agent.
  else while (unmount(path));
  removeHandle(layout.handle(id));
}

function removeHandle(handle: string): void {
  while (unmount(handle)); // the namespace's, then the seal
  removeCheckpoint(handle);
}

/** A file to mount something on, which is nothing worth after a power cut: it is not flushed. */
function makeEmpty(path: string): void {
  withFile(
    "make",
    path,
    () => Deno.openSync(path, { write: true, create: true, mode: 0o400 }).close(),
  );
}

function isSymlink(path: string): boolean {
  return unless(isA(Deno.errors.NotFound), () => Deno.lstatSync(path).isSymlink) ?? false;
}

/** @returns false where handles can't be sealed */
async function prepareHandles(layout: Layout): Promise<boolean> {
  const { handles, seal } = layout;
  // The seal is the last thing that is made, and a mount namespace that is a copy has none.
  if (isNamespaceHandle(seal, "mnt")) return true;
  if (refused) return false;
  makeDirectory(handles, 0o700);
  using _ = await FileLock.require(layout.sharingLock, PATIENCE, "another process");
  if (isNamespaceHandle(seal, "mnt")) return true;
  try {
    const path = Deno.realPathSync(handles);
    if (!mounts().some(({ mountPoint }) => mountPoint === path)) bindMount(path, path);
    mount(null, path, null, MS_PRIVATE);
    makeEmpty(seal);
    bindSeal(seal, path);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    refused = true;
    log.info(
      "the kernel has no mounts that are not copied: each container gets the others' handles",
      { error: messageOf(error) },
    );
    return false;
  }
}
