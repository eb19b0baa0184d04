/** Whether the container of a record goes on, as far as a record of port mappings can tell. */
import { inodeOf } from "../kernel/proc.ts";
import { isNamespaceHandle, isOwnNamespace } from "../kernel/namespaces.ts";
import { ProcessTable } from "../kernel/processes.ts";
import type { MappingRecord } from "./record.ts";

/** How long, in ms, an attached container may be without a process before it counts as ended. */
const LONGEST_LAUNCH_MS = 600_000;

/** Whether the network namespace that an attachment was made in still exists. */
export function hasNamespace({ netns, netnsInode }: MappingRecord): boolean {
  return isNamespaceHandle(netns) && inodeOf(netns) === netnsInode;
}

/**
 * Whether a process lives in the attachment's network. Some runtimes attach a container before they
 * start it: one of theirs that was just attached goes on without a process.
 *
 * A walk of /proc: for the few records that stand in somebody's way.
 */
export async function goesOn(record: MappingRecord): Promise<boolean> {
  if (!hasNamespace(record)) return false;
  if (isOwnNamespace(record.netns)) return true;
  if ((await ProcessTable.look()).inNamespace(record.netnsInode).length > 0) return true;
  const { startsWithProcess = false, reserved } = record;
  if (startsWithProcess) return false;
  // In the future, it is of a clock that has been set back.
  return Math.abs(Date.now() - reserved) < LONGEST_LAUNCH_MS;
}
