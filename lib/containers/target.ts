/** Which namespace a command is about: a container's, or any. */
import { OperatorError } from "../base/error.ts";
import { exists } from "../base/exists.ts";
import { findContainer, knownContainers } from "./ids.ts";
import type { Layout } from "./layout.ts";
import { type NetworkMode, readRequest } from "./request.ts";
import { type ContainerId, isContainerId, rootOf } from "../mesos/container_id.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { findInode } from "../kernel/proc.ts";

/** A network namespace with what is known about whose it is. */
export interface Target {
  /** The container's id, `pid 4711`, or the path of the handle. */
  name: string;
  netns: string;
  /** The container, if it was named by one. */
  id?: ContainerId;
  /** The process, if it was named by one. */
  pid?: number;
}

/** A container of this agent's. */
export function targetOf({ id, netns }: { id: ContainerId; netns: string }): Target {
  return { name: id, netns, id };
}

/** How the caller names the namespace: one of the three. */
export interface TargetOptions {
  /** A container's id, or a unique prefix of one. */
  id?: string;
  netns?: string;
  pid?: string;
}

/**
 * Finds the namespace that was asked for.
 *
 * @param choose picks one of several candidates; without it, several are an error
 * @throws {OperatorError} for an unknown or ambiguous id, a path that is no namespace, a pid
 *   without a process
 */
export function findTarget(
  layout: Layout,
  { id, netns, pid }: TargetOptions,
  choose?: (candidates: ContainerId[]) => ContainerId | undefined,
): Target {
  if (pid !== undefined) return ofProcess(layout, checkedPid(pid));
  if (netns !== undefined) return ofPath(netns);
  const container = resolveId(layout, id!, choose);
  const mode = readRequest(layout, container)?.mode ?? "own";
  return { name: container, netns: namespaceOf(layout, container, mode), id: container };
}

/** A process's namespace: its container's, if it is in one that has its own. */
function ofProcess(layout: Layout, pid: number): Target {
  const target = ofPath(`/proc/${pid}/ns/net`);
  const inode = findInode(target.netns);
  const id = knownContainers(layout).find((id) =>
    readRequest(layout, id)?.mode !== "parent" && findInode(layout.namespace(id)) === inode
  );
  return id === undefined ? { ...target, pid } : { name: id, netns: layout.namespace(id), id, pid };
}

/** The handle of the network namespace that a container is in. */
export function namespaceOf(layout: Layout, id: ContainerId, mode: NetworkMode): string {
  if (mode === "host") return "/proc/self/ns/net";
  return layout.namespace(mode === "parent" ? rootOf(id) : id);
}

/** As {@link findContainer}, but for what a nested container of a stock agent's shares: the root's. */
export function resolveId(
  ...[layout, text, choose]: Parameters<typeof findContainer>
): ContainerId {
  // A stock agent keeps nothing beside us of a nested container, which has its root's network.
  const isNested = isContainerId(text) && !layout.has(text) && layout.has(rootOf(text)) &&
    exists(layout.ofAgent(text));
  return isNested ? rootOf(text) : findContainer(layout, text, choose);
}

/**
 * Refuses a target whose namespace is gone, for commands that must enter it.
 *
 * @throws {OperatorError} `namespace_gone`
 */
export function requireAlive(target: Target): void {
  if (isNamespaceHandle(target.netns)) return;
  throw new OperatorError(
    "namespace_gone",
    `the network namespace of ${target.name} is gone: ${target.netns} is no namespace handle ` +
      "(any more). After a reboot that is so until it is cleaned up: mesos-cni gc shows what is left",
  );
}

function checkedPid(text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw new OperatorError("bad_pid", `--pid=${text} is no process id`);
}

function ofPath(path: string): Target {
  const pid = /^\/proc\/(\d+)\//.exec(path)?.[1];
  if (!isNamespaceHandle(path)) {
    throw new OperatorError(
      "not_a_namespace",
      pid
        ? `there is no process ${pid}, or its namespaces may not be looked at`
        : `${path} is no handle of a namespace`,
    );
  }
  return { name: pid ? `pid ${pid}` : path, netns: path };
}
