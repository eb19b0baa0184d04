/** Which of several containers of one id a record of port mappings is of. */
import { OperatorError } from "../base/error.ts";
import { isAnothers, sayAnothers } from "../netlink/attached_network.ts";
import type { Owner } from "./mapping.ts";
import { installedOf, type MappingRecord, records } from "./record.ts";

/** The installed record of an attachment that is another runtime's container's of the same id. */
async function attachedElsewhere(
  owner: Owner,
  netns: string | undefined,
): Promise<MappingRecord | undefined> {
  const record = installedOf(records.read(owner));
  return record && await isAnothers(record, netns) ? record : undefined;
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
  sayAnothers(owner, record);
  return true;
}
