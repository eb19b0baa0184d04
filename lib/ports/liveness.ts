/** Whether the container of a record goes on, as far as a record of port mappings can tell. */
import { OperatorError } from "../base/error.ts";
import { log } from "../base/log.ts";
import { inodeOf } from "../kernel/proc.ts";
import { isNamespaceHandle, isOwnNamespace, namespaceAt } from "../kernel/namespaces.ts";
import { uptime } from "../kernel/process_identity.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { type Fate, Sight, viewpoint } from "../netlink/sight.ts";
import type { Owner } from "./mapping.ts";
import { installedOf, type MappingRecord, records } from "./record.ts";

/** How long, in ms, an attached container may be without a process before it counts as ended. */
const LONGEST_LAUNCH_MS = 600_000;

/** Whether the network namespace that an attachment was made in still exists. */
export function namespaceFate(record: MappingRecord, sight = new Sight()): Fate {
  const { netns: handle, netnsInode: inode, netnsCookie: cookie, wire, maker } = record;
  return sight.fateOf({ handle, inode, cookie, wires: wire === undefined ? [] : [wire], maker });
}

/**
 * Whether a process lives in the attachment's network, or may. Some runtimes attach a container before
 * they start it: one of theirs that was just attached goes on without a process.
 *
 * A walk of /proc: for the few records that stand in somebody's way.
 */
export async function goesOn(record: MappingRecord): Promise<boolean> {
  const { netns, netnsInode, startsWithProcess = false, reserved, maker } = record;
  const sight = new Sight();
  const fate = namespaceFate(record, sight);
  if (fate !== "lives") return fate === "elsewhere";
  // What holds it is not seen here, so its processes may not be either.
  if (!isNamespaceHandle(netns) || inodeOf(netns) !== netnsInode) return true;
  if (isOwnNamespace(netns)) return true;
  if ((await ProcessTable.look()).inNamespace(netnsInode).length > 0) return true;
  if (maker && maker.pid !== viewpoint().pid) return true;
  return !startsWithProcess && uptime() - reserved < LONGEST_LAUNCH_MS;
}

/**
 * The installed record of an attachment that goes on in another network namespace than the handle's: that of
 * another runtime's container of the same id.
 *
 * @param netns as the runtime names it; of what is no namespace, or none any more, nothing is told
 */
async function attachedElsewhere(
  owner: Owner,
  netns: string | undefined,
): Promise<MappingRecord | undefined> {
  const record = installedOf(records.read(owner));
  const asked = record && netns ? namespaceAt(netns) : undefined;
  if (!record || asked === undefined || asked === record.netnsInode) return undefined;
  const { mnt = viewpoint().mnt } = record.maker ?? {};
  // The runtime itself has given that handle to another namespace.
  if (record.netns === netns && mnt === viewpoint().mnt) return undefined;
  return await goesOn(record) ? record : undefined;
}

/** @throws {OperatorError} `attached_elsewhere` for an ADD of an id that another container has */
export async function refuseOthers(owner: Owner, netns: string): Promise<void> {
  const other = await attachedElsewhere(owner, netns);
  if (!other) return;
  throw new OperatorError(
    "attached_elsewhere",
    `a container ${owner.containerId} is attached to ${owner.network} (${owner.ifName}) already, in ` +
      `${other.netns}, which goes on: detach that one first, or give this one another id`,
  );
}

/** Whether a DEL is of a container that has nothing, since another one of its id has it: that is said. */
export async function isOthers(owner: Owner, netns: string | undefined): Promise<boolean> {
  const record = await attachedElsewhere(owner, netns);
  if (!record) return false;
  log.warning(
    "a container of the same id goes on in another network namespace, and keeps what it has",
    {
      container: owner.containerId,
      network: owner.network,
      netns: record.netns,
    },
  );
  return true;
}
