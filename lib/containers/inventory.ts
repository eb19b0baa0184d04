/** The containers of an agent: what the checkpoints say, and what is left of it alive. */
import { entriesIn, statOf } from "../base/exists.ts";
import type { Layout } from "./layout.ts";
import { type NetworkMode, readRequest } from "./request.ts";
import { type ContainerId, isContainerId } from "../mesos/container_id.ts";
import { type Checkpoint, readAttachment } from "./checkpoint.ts";
import { networkOf } from "../kernel/processes.ts";
import { Sight } from "../netlink/sight.ts";
import { knownContainers } from "./ids.ts";
import { fateOf } from "./liveness.ts";
import { namespaceOf } from "./target.ts";

/** A container with a checkpoint. */
export interface Container {
  id: ContainerId;
  /** `own` network namespace, that of its root container (`parent`), or the agent's (`host`). */
  mode: NetworkMode;
  /** Which isolator keeps it: a stock agent's leaves no request. */
  keeper: "mesos-cni" | "agent";
  /** The handle of its network namespace. */
  netns: string;
  /** The namespace's inode; absent where `netns` is no handle any more: after a reboot it is an empty file. */
  inode?: number;
  /** Whether `netns` still is one. */
  namespaceAlive: boolean;
  /** Whether it goes on, or may, where this program can't look: in other mounts than these say. */
  isElsewhere: boolean;
  /** Its first process: the checkpointed one, else the lowest pid found in the namespace. */
  pid?: number;
  /** Whether any process of it is in the namespace. */
  processAlive: boolean;
  /** When it was prepared, or its directory was made. */
  since?: Date;
  hostname?: string;
  attachments: Checkpoint[];
}

/** All containers, by id: those with a directory, and those with no more than a request. */
export function readContainers(layout: Layout, sight = new Sight()): Container[] {
  return stillThere(layout, [...walkContainers(layout, sight)]);
}

/** The same, one at a time; of all together, those are to be kept that are {@link stillThere}. */
export function* walkContainers(layout: Layout, sight: Sight): Generator<Container> {
  for (const id of knownContainers(layout)) yield readContainer(layout, id, sight);
}

/** Without what was cleaned up meanwhile, and so read in parts, or not at all. */
export function stillThere(layout: Layout, containers: readonly Container[]): Container[] {
  return containers.filter(({ id }) => layout.has(id));
}

/** One container. */
export function readContainer(layout: Layout, id: ContainerId, sight = new Sight()): Container {
  const request = readRequest(layout, id);
  const mode = request?.mode ?? "own";
  const netns = namespaceOf(layout, id, mode);
  const inode = sight.networkAt(netns);
  const namespaceAlive = inode !== undefined;
  // Asked itself, as it may have begun after /proc was walked.
  const network = request?.pid === undefined ? undefined : networkOf(request.pid);
  // A pid that now belongs to a process elsewhere has been given away anew.
  const known = network !== undefined && (mode === "host" || network === inode)
    ? request?.pid
    : undefined;
  // In its parent's namespace, the processes found may all be the parent's.
  const pid = known ??
    (mode === "own" && namespaceAlive ? sight.processes.inNamespace(inode)[0] : undefined);
  return {
    id,
    mode,
    keeper: request ? "mesos-cni" : "agent",
    netns,
    ...namespaceAlive ? { inode } : {},
    namespaceAlive,
    isElsewhere: !namespaceAlive && fateOf(layout, id, request, sight) !== "gone",
    pid: pid ?? request?.pid,
    processAlive: pid !== undefined,
    since: request ? new Date(request.prepared) : birth(layout.container(id)),
    hostname: request?.hostname,
    attachments: layout.listAttachments(id).map((one) => readAttachment(layout, id, one)),
  };
}

/** The state directories that are no container's: what a crash or a person left there. */
export function strayEntries(layout: Layout): string[] {
  return entriesIn(layout.containers)
    .filter(({ name, isDirectory }) => !isDirectory || !isContainerId(name))
    .map(({ name }) => name);
}

/** Unknown of one that has just been cleaned up. */
function birth(path: string): Date | undefined {
  const made = statOf(path);
  return made?.birthtime ?? made?.mtime ?? undefined;
}
