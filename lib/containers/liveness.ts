/**
 * Whether a container lives: by a process with its start time, of this boot, or by who is in its
 * network namespace. What is only a number, a name or a path proves nothing.
 */
import { inodeOf, threadsOf } from "../kernel/proc.ts";
import { OperatorError } from "../base/error.ts";
import { exists, statOf } from "../base/exists.ts";
import { isForeign, isNamespaceHandle, isOwnNamespace } from "../kernel/namespaces.ts";
import { killWhere } from "../kernel/kill.ts";
import { bootId, bootTime, isRunning, uptime } from "../kernel/process_identity.ts";
import { hasThreadElsewhere, networkOf, ProcessTable } from "../kernel/processes.ts";
import { networkCookie } from "../kernel/socket.ts";
import { type Fate, Sight, viewpoint } from "../netlink/sight.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";
import type { Request } from "./request.ts";

/** How long, in ms, a container may stay prepared without a process before it counts as given up. */
const LONGEST_LAUNCH = 600_000;

/** How long killed processes may take to go, in ms. */
const PATIENCE = 5_000;

/**
 * For how long, in ms, a process that has a thread elsewhere is seen in the network at each look, before it
 * counts as one of the container's. Who looks into the network from outside (a diagnosis, the service) is there
 * with one thread, for moments; a process that was started there has all of its threads there.
 */
const LONGEST_VISIT = 500;
/** At so many looks at least: of a host with many processes, one takes as long as several visits. */
const FEWEST_LOOKS = 5;

/** How far, in ms, a clock may have been set since a directory was made. */
const CLOCK_SLACK = 60_000;

/** The ids of a container's processes; none when it shares somebody else's network. */
export function membersOf(
  layout: Layout,
  id: ContainerId,
  processes: ProcessTable,
): readonly number[] {
  const inode = ownNetworkOf(layout, id);
  return inode === undefined ? [] : processes.inNamespace(inode);
}

/** The inode of a container's network namespace; undefined when it shares somebody else's. */
function ownNetworkOf(layout: Layout, id: ContainerId): number | undefined {
  const handle = layout.namespace(id);
  // A test network's container lives in the agent's own namespace, with the agent. That is also
  // the machine's: one who looks from elsewhere must not take all its processes for a container's.
  return isForeign(handle) ? inodeOf(handle) : undefined;
}

/**
 * The inode of the network namespace that a container's record names, where it also has what tells it from
 * a later one: it is found without a handle.
 */
export function recordedNetworkOf(request: Request): number | undefined {
  const { mode, test, netns, netnsCookie, bootId: boot } = request;
  const isKnown = mode === "own" && !test && netnsCookie !== undefined && boot === bootId();
  // The agent's and the machine's own are no container's, whatever a record says.
  return isKnown && ![viewpoint().net, networkOf(1)].includes(netns) ? netns : undefined;
}

/** Who is in the network namespace that a container's record names. */
function leftIn(request: Request, processes: ProcessTable): readonly number[] {
  const inode = recordedNetworkOf(request);
  const inside = inode === undefined ? [] : processes.inNamespace(inode);
  return inside.filter((pid) => isInRecorded(pid, request));
}

function isInRecorded(pid: number, { netnsCookie }: Request): boolean {
  return threadsOf(pid).some((thread) =>
    networkCookie(`/proc/${pid}/task/${thread}/ns/net`) === netnsCookie
  );
}

/** Whether anything that was in a container's network at the last look at all processes is still there. */
export async function hasKnownMembers(layout: Layout, id: ContainerId): Promise<boolean> {
  const inode = ownNetworkOf(layout, id);
  if (inode === undefined) return false;
  return (await ProcessTable.lately()).inNamespace(inode).some((pid) => networkOf(pid) === inode);
}

/**
 * Ends what a container's command has left running in its network.
 *
 * @param request by which its network is known where nothing holds it for the container any more
 * @throws {OperatorError} `still_alive` for processes that do not go
 */
export async function killMembers(
  layout: Layout,
  id: ContainerId,
  request?: Request,
): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  /** Of each visitor, since when it has been seen, and how often. */
  let visits = new Map<number, { since: number; looks: number }>();
  while (true) {
    const held = ownNetworkOf(layout, id);
    const inode = held ?? (request && recordedNetworkOf(request));
    if (inode === undefined) return;
    const isMember = (pid: number) =>
      networkOf(pid) === inode && (held !== undefined || isInRecorded(pid, request!));
    const members = (await ProcessTable.look()).inNamespace(inode).filter(isMember);
    if (members.length === 0) return;
    if (performance.now() > deadline) {
      throw new OperatorError(
        "still_alive",
        `container ${id} has processes that can't be killed (${
          members.slice(0, 10).join(", ")
        }): ` +
          `its networks are left as they are; see what these wait for (ps -o pid,stat,wchan)`,
      );
    }
    const visitors = members.filter((pid) => hasThreadElsewhere(pid, inode));
    const now = performance.now();
    visits = new Map(visitors.map((pid) => {
      const { since, looks } = visits.get(pid) ?? { since: now, looks: 0 };
      return [pid, { since, looks: looks + 1 }];
    }));
    for (const pid of members) {
      const { since, looks } = visits.get(pid) ?? { since: -Infinity, looks: Infinity };
      if (now - since >= LONGEST_VISIT && looks >= FEWEST_LOOKS) killWhere(pid, isMember);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Whether a container goes on: its first process runs, wherever that has moved to, or any process
 * is in its network. One that was just prepared and has no process yet goes on too.
 */
export function fateOf(
  layout: Layout,
  id: ContainerId,
  request: Request | undefined,
  sight: Sight,
): Fate {
  if (request && isOfAnotherBoot(layout, id, request)) return "gone";
  if (request && request.pid === undefined) {
    const { preparedUptime = uptime() } = request;
    return uptime() - preparedUptime < LONGEST_LAUNCH ? "lives" : "gone";
  }
  const isSeen = !request || areProcessesSeen(request);
  const unlessProcess = isSeen ? sight.afterEndOf(request?.agent) : "elsewhere";
  if (request && isSeen && hasFirstProcess(request)) return "lives";
  const sharesNetwork = request !== undefined && (request.mode !== "own" || request.test === true);
  if (sharesNetwork) return unlessProcess;
  // Called from a shell in the container's network, this very process lives in it.
  if (isInside(layout, id) || membersOf(layout, id, sight.processes).length > 0) return "lives";
  const handle = layout.namespace(id);
  if (isNamespaceHandle(handle)) return unlessProcess;
  const inode = sight.inodeMountedOn(handle, request?.agent);
  if (inode !== undefined && [undefined, inode].includes(request?.netns)) {
    return sight.processes.inNamespace(inode).length > 0 ? "lives" : "elsewhere";
  }
  // Something holds its network that is not seen here: a process maybe, of its or of a stranger's.
  const fate = namespaceFate(layout, id, request, sight);
  return fate === "lives" ? "elsewhere" : fate;
}

/**
 * Refuses to detach a container that lives and has a network, or of which can't be told from here.
 *
 * @param even also one that lives
 * @throws {OperatorError} `alive`, `elsewhere`
 */
export function requireEnded(
  layout: Layout,
  id: ContainerId,
  request: Request | undefined,
  even: boolean,
): void {
  const sight = new Sight();
  const isMade = !request || request.pid !== undefined && !isOfAnotherBoot(layout, id, request);
  if (!isMade) return;
  const isSeen = !request || areProcessesSeen(request);
  const firstProcess = request && isSeen && hasFirstProcess(request) ? [request.pid!] : [];
  const pids = request ? firstProcess : membersOf(layout, id, sight.processes);
  // Of what it was attached to, either record may be lost.
  const isAttached = !request || (request.wires ?? []).length > 0 ||
    layout.listAttachments(id)
      .some(({ network, ifName }) => exists(layout.result(id, network, ifName)));
  if (pids.length > 0 && isAttached && !even) {
    throw new OperatorError(
      "alive",
      `container ${id} lives, as process ${pids.slice(0, 10).join(", ")}, and would lose its ` +
        "network: end it first, its task by its framework say; --force cuts it off all the same",
    );
  }
  if (sight.isInAnotherNetwork(request?.agent)) throw elsewhere(id);
  const ownsNetwork = !request || request.mode === "own" && !request.test;
  if (!ownsNetwork || isNamespaceHandle(layout.namespace(id))) {
    if (isSeen || even) return;
    throw elsewhere(id);
  }
  // The handle may be gone for good, with the mounts of an agent that was started anew, and then so
  // is the network. A cleanup that was cut off after it let the handle go: who is in the network is known by
  // the record.
  const isLeft = request !== undefined && isSeen && leftIn(request, sight.processes).length > 0;
  if (!isLeft && namespaceFate(layout, id, request, sight) !== "gone") throw elsewhere(id);
}

function areProcessesSeen({ agent }: Request): boolean {
  return !agent || agent.pid === viewpoint().pid;
}

/** Of a network namespace whose handle is not seen here. */
function namespaceFate(
  layout: Layout,
  id: ContainerId,
  request: Request | undefined,
  sight: Sight,
): Fate {
  if (!request && isOlderThanBoot(layout.container(id))) return "gone";
  return sight.fateOf({
    handle: layout.namespace(id),
    inode: request?.netns,
    cookie: request?.netnsCookie,
    wires: request?.wires?.flatMap(({ host }) => host?.index ?? []),
    maker: request?.agent,
  });
}

function isOlderThanBoot(path: string): boolean {
  const made = statOf(path);
  return !made || (made.ctime?.getTime() ?? Infinity) < bootTime() - CLOCK_SLACK;
}

/**
 * The error for a container of which can't be told from here whether it lives, and which could not be
 * detached from here either: its handle is not seen.
 */
export function elsewhere(id: ContainerId): OperatorError {
  return new OperatorError(
    "elsewhere",
    `container ${id} was attached from another mount, pid or network namespace than this one, so whether ` +
      "it lives, or what it has, can't be seen here: run this where the agent runs, with " +
      "nsenter --target=AGENT --pid --mount --net say",
  );
}

/** Whether a container's first process runs. */
export function hasFirstProcess({ pid, startTime }: Request): boolean {
  return pid !== undefined && startTime !== undefined && isRunning({ pid, startTime });
}

/**
 * Whether a container was made before this machine was last booted: no handle of it is mounted, and its first
 * process is not in its network. The boot's id alone is no proof: something else may be mounted over it here, or
 * where the container was made.
 */
export function isOfAnotherBoot(layout: Layout, id: ContainerId, request: Request): boolean {
  if (request.bootId === bootId() || isNamespaceHandle(layout.namespace(id))) return false;
  const isHere = hasFirstProcess(request) && networkOf(request.pid!) === request.netns;
  return !isHere && (areProcessesSeen(request) || isOlderThanBoot(layout.container(id)));
}

function isInside(layout: Layout, id: ContainerId): boolean {
  const handle = layout.namespace(id);
  return isNamespaceHandle(handle) && isOwnNamespace(handle);
}
