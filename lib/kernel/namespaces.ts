/**
 * Namespaces of the calling thread (unshare(2), setns(2)).
 *
 * The kernel moves single threads, not processes: while a function here runs, the main thread is
 * elsewhere and all other threads of the runtime are not. So the functions take synchronous
 * work only, and what such work starts with `Deno.Command` is born in the namespaces too.
 */
import { inodeOf, isGone, isRefused, stateOf } from "./proc.ts";
import { writeErrorOutput } from "../base/streams.ts";
import { check, openLibc } from "./libc.ts";
import { Handle, open } from "./files.ts";
import { isWorker } from "./threads.ts";
import { unless } from "../base/unless.ts";

const libc = openLibc({
  unshare: { parameters: ["i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  fchdir: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64"], result: "i32" },
});

/** ioctl_nsfs(2): the flag of clone(2) that makes a namespace of this kind. */
const NS_GET_NSTYPE = 0xb703n;

export type NamespaceKind = "net" | "mnt" | "uts" | "ipc" | "cgroup" | "pid";

/** Flags of clone(2), linux/sched.h. */
const CLONE_FS = 0x200;
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWNET = 0x40000000;
const CLONE_NEWCGROUP = 0x2000000;
const CLONE_NEWIPC = 0x8000000;
const CLONE_NEWPID = 0x20000000;
const CLONE_FLAGS: Readonly<Record<NamespaceKind, number>> = {
  mnt: CLONE_NEWNS,
  uts: CLONE_NEWUTS,
  net: CLONE_NEWNET,
  ipc: CLONE_NEWIPC,
  cgroup: CLONE_NEWCGROUP,
  pid: CLONE_NEWPID,
};

/** A result that is no promise: nothing may be awaited in a namespace. */
export type Synchronous<R> = R extends PromiseLike<unknown> ? never : R;

/**
 * Runs `work` in new namespaces, then returns to the old ones. The new ones live on as long as a
 * process or a mount holds them.
 *
 * @throws {SystemError}
 */
export function inNewNamespaces<R>(kinds: readonly NamespaceKind[], work: () => Synchronous<R>): R {
  return andBack(kinds, () => {
    makeNamespaces(kinds);
    return work();
  });
}

/**
 * Runs `work` in existing namespaces, each given by the path of its handle (`/proc/PID/ns/net`,
 * a bind mount of it), then returns.
 *
 * @throws {SystemError}
 */
export function inNamespaces<R>(
  paths: Readonly<Partial<Record<NamespaceKind, string>>>,
  work: () => Synchronous<R>,
): R {
  return andBack(Object.keys(paths) as NamespaceKind[], () => {
    enter(paths);
    return work();
  });
}

function enter(paths: Readonly<Partial<Record<NamespaceKind, string>>>): void {
  const kinds = Object.keys(paths) as NamespaceKind[];
  // All handles are opened before the first step, which may hide their paths.
  const handles = openAll(kinds.map((kind) => paths[kind]!));
  try {
    kinds.forEach((kind, i) => setns(handles[i]!, kind, paths[kind]!));
  } finally {
    handles.forEach((handle) => handle.close());
  }
}

/** Gives the main thread new namespaces for good. @throws {SystemError} */
export function makeNamespaces(kinds: readonly NamespaceKind[]): void {
  const flags = kinds.reduce((sum, kind) => sum | CLONE_FLAGS[kind], 0);
  check(libc().unshare(flags), `make new namespaces (${kinds.join(", ")})`);
}

/** Moves the main thread for good, for a program that is about to exec. @throws {SystemError} */
export function enterNamespaces(paths: Readonly<Partial<Record<NamespaceKind, string>>>): void {
  if ("mnt" in paths) leaveSharedDirectory();
  enter(paths);
}

function andBack<R>(kinds: readonly NamespaceKind[], work: () => R): R {
  const own = kinds.map((kind) => `/proc/thread-self/ns/${kind}`);
  const home = openAll(kinds.includes("mnt") ? [...own, "."] : own);
  const directory = home[kinds.length];
  if (directory) leaveSharedDirectory();
  try {
    return work();
  } finally {
    try {
      if (directory) leaveSharedDirectory();
      kinds.forEach((kind, i) => setns(home[i]!, kind, "the namespace that it came from"));
      // A thread that changes its mount namespace is put to the root directory of the new one.
      if (directory) check(libc().fchdir(directory.fd), "return to the working directory");
    } catch (error) {
      // What would follow happens in the container's network: better not at all.
      writeErrorOutput(`mesos-cni: cannot return to the agent's namespaces: ${error}\n`);
      // In a worker, an exit would end the worker alone.
      if (isWorker) Deno.kill(Deno.pid, "SIGKILL");
      Deno.exit(1);
    }
    home.forEach((handle) => handle.close());
  }
}

/** Opens all of the files, or none. @throws {SystemError} */
function openAll(paths: readonly string[]): Handle[] {
  const opened: Handle[] = [];
  try {
    for (const path of paths) opened.push(open(path));
    return opened;
  } catch (error) {
    opened.forEach((handle) => handle.close());
    throw error;
  }
}

function setns(handle: Handle, kind: NamespaceKind, what: string): void {
  check(libc().setns(handle.fd, CLONE_FLAGS[kind]), `enter ${what} (${kind} namespace)`);
}

/**
 * A thread that shares its working directory with others may not change its mount namespace.
 * Each thread that the runtime has started from this one since the last time shares it again.
 */
function leaveSharedDirectory(): void {
  check(libc().unshare(CLONE_FS), "separate the working directory");
}

/** The device of that file system. */
let nsfs: string | undefined;

/**
 * The inode of the namespace of that kind which `path` is a handle of; undefined for what is none, such
 * as the empty file that is left of a bind mount after a reboot.
 */
export function namespaceAt(path: string, kind: NamespaceKind = "net"): number | undefined {
  return unless(isGone, () => {
    // Every handle lies on the kernel's one nsfs.
    nsfs ??= stateOf("/proc/self/ns/net").device;
    const { device, inode } = stateOf(path);
    if (device !== nsfs) return undefined;
    using handle = open(path);
    const flag = check(libc().ioctl(handle.fd, NS_GET_NSTYPE), `ask what ${path} is a handle of`);
    return flag === CLONE_FLAGS[kind] ? inode : undefined;
  });
}

export function isNamespaceHandle(path: string, kind: NamespaceKind = "net"): boolean {
  return namespaceAt(path, kind) !== undefined;
}

/** Whether a namespace's handle is that of this process's own; false where it has gone. */
export function isOwnNamespace(handle: string, kind: NamespaceKind = "net"): boolean {
  return unless(isGone, () => inodeOf(handle)) === inodeOf(`/proc/self/ns/${kind}`);
}

/** Whether a handle is that of a network namespace which is not the agent's, or the machine's, own. */
export function isForeign(handle: string): boolean {
  return isNamespaceHandle(handle) && !isOwnNamespace(handle) && !isInitsNamespace(handle);
}

/** Whether a network namespace's handle is that of process 1; false where that is not told. */
export function isInitsNamespace(handle: string): boolean {
  return unless(isRefused, () => inodeOf(handle) === inodeOf("/proc/1/ns/net")) ?? false;
}
