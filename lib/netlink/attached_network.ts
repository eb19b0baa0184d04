/** The network that an attachment was made in, as it is written down; and whether it goes on. */
import { log } from "../base/log.ts";
import { OperatorError } from "../base/error.ts";
import { unlessRefused } from "../base/unless.ts";
import { inodeOf } from "../kernel/proc.ts";
import { isNamespaceHandle, isOwnNamespace, namespaceAt } from "../kernel/namespaces.ts";
import { uptime } from "../kernel/process_identity.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { networkCookie } from "../kernel/socket.ts";
import { listeners } from "./sock_diag.ts";
import { type Fate, Sight, type Viewpoint, viewpoint } from "./sight.ts";

export interface AttachedNetwork {
  /** Path of the container's network namespace, and its inode at the time of ADD. */
  netns: string;
  netnsInode: number;
  /** What tells it from a later one of that inode; absent where the kernel doesn't tell. */
  netnsCookie?: string | undefined;
  /** The namespaces of the program that attached it; absent in records made before there was that. */
  maker?: Viewpoint;
  /** When it was written down, in ms since the machine was booted, as all of this is of one boot. */
  reserved: number;
  /** Index, on the host, of the veth whose other end is the attachment's interface. */
  wire?: number;
  /** Whether its runtime starts a container's first process before it attaches it, as Mesos does. */
  startsWithProcess?: boolean;
}

/** How long, in ms, an attached container may be without a process before it counts as ended. */
const LONGEST_LAUNCH_MS = 600_000;

/** @throws {OperatorError} where the path is no namespace's */
export function networkNow(netns: string): AttachedNetwork & { maker: Viewpoint } {
  const netnsInode = namespaceAt(netns);
  if (netnsInode === undefined) {
    throw new OperatorError("no_namespace", `${netns} is no network namespace`);
  }
  return {
    netns,
    netnsInode,
    netnsCookie: networkCookie(netns),
    maker: viewpoint(),
    reserved: uptime(),
  };
}

/** Whether the network namespace that an attachment was made in still exists. */
export function namespaceFate(network: AttachedNetwork, sight = new Sight()): Fate {
  const { netns: handle, netnsInode: inode, netnsCookie: cookie, wire, maker } = network;
  return sight.fateOf({ handle, inode, cookie, wires: wire === undefined ? [] : [wire], maker });
}

/** Whether a path leads to the network that an attachment was made in, and to no later one. */
export function leadsTo(netns: string, { netnsInode, netnsCookie }: AttachedNetwork): boolean {
  return namespaceAt(netns) === netnsInode &&
    [undefined, netnsCookie].includes(networkCookie(netns));
}

/**
 * Whether a process lives in the attachment's network, or may. One that has gone into another network, or has
 * its first thread there, may go on answering by a socket that it opened before. Some runtimes attach a container before
 * they start it: one of theirs that was just attached goes on without a process.
 *
 * A walk of /proc: for the few records that stand in somebody's way.
 */
export async function goesOn(network: AttachedNetwork): Promise<boolean> {
  const { netns, netnsInode, startsWithProcess = false, reserved, maker } = network;
  const fate = namespaceFate(network);
  if (fate !== "lives") return fate === "elsewhere";
  // What holds it is not seen here, so its processes may not be either.
  if (!isNamespaceHandle(netns) || inodeOf(netns) !== netnsInode) return true;
  if (isOwnNamespace(netns)) return true;
  if ((await ProcessTable.look()).inNamespace(netnsInode).length > 0) return true;
  // Where the kernel can't tell of sockets (inet_diag), or the handle has gone meanwhile, none is seen.
  const isBound = (protocol: "tcp" | "udp") =>
    unlessRefused(() => listeners(protocol, 0, netns).length > 0);
  if (isBound("tcp") || isBound("udp")) return true;
  if (maker && maker.pid !== viewpoint().pid) return true;
  return !startsWithProcess && uptime() - reserved < LONGEST_LAUNCH_MS;
}

/**
 * Whether an attachment is another container's than the one that a call of its id is about: it goes on in
 * another network namespace than the handle's.
 *
 * @param netns as the runtime names it; of what is no namespace, or none any more, nothing is told
 */
export async function isAnothers(
  network: AttachedNetwork,
  netns: string | undefined,
): Promise<boolean> {
  const asked = netns === undefined ? undefined : namespaceAt(netns);
  if (asked === undefined || asked === network.netnsInode) return false;
  const { mnt = viewpoint().mnt } = network.maker ?? {};
  // The runtime itself has given that handle to another namespace.
  if (network.netns === netns && mnt === viewpoint().mnt) return false;
  return await goesOn(network);
}

/** Says that what an id names is another container's, in that network if it is known. */
export function sayAnothers(
  { containerId: container, network }: { containerId: string; network: string },
  attached?: AttachedNetwork,
): void {
  const what =
    "a container of the same id goes on in another network namespace, and keeps what it has";
  log.warning(what, { container, network, ...attached && { netns: attached.netns } });
}
