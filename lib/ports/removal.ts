/** Removing mappings: rules, settings, claims and record of an attachment, in this order. */
import { OperatorError } from "../base/error.ts";
import { errnoName, fileError } from "../base/file_error.ts";
import { log } from "../base/log.ts";
import type { Removal } from "./backend.ts";
import { backendOf } from "./backends.ts";
import { release, releaseAll } from "./claims.ts";
import { forgetFlows } from "./flows.ts";
import { type ChangesLock, lockAttachment, lockChanges } from "./locks.ts";
import type { Owner, Placement } from "./mapping.ts";
import { closeLocalnet } from "./reach.ts";
import { type MappingRecord, records } from "./record.ts";

/** Where the rules of an attachment may be whose record is lost. */
export type Whereabouts = Pick<Placement, "chain" | "backend">;

/**
 * Removes all that an attachment has. Nothing there is no error.
 *
 * @param where to look if the record is lost
 * @param path PATH of this call, for the programs that change rules
 * @throws {OperatorError}
 */
export async function remove(owner: Owner, path: string, where?: Whereabouts): Promise<void> {
  using lock = await lockChanges({ forRemoval: true });
  const record = records.read(owner);
  if (record) return await removeRecorded(record, path, lock);
  evenOnAFullDisk(() => {
    closeLocalnet(owner);
    releaseAll(owner);
    records.remove(owner); // of which a write that was cut off may have left a part
  }, "its claims of host ports");
  if (!where) return;
  await removeRules({ ...owner, chain: where.chain, backend: where.backend }, path, lock);
}

/** As {@link remove}, for a caller that holds the changes lock. */
export async function removeRecorded(
  record: MappingRecord,
  path: string,
  lock: ChangesLock,
): Promise<void> {
  const { earlier } = record;
  if (earlier) await removeRules(earlier, path, lock);
  await removeRules(record, path, lock);
  evenOnAFullDisk(() => {
    for (const { mappings } of [record, ...(earlier ? [earlier] : [])]) {
      for (const mapping of mappings) release(mapping, record);
    }
    closeLocalnet(record);
    records.remove(record);
  }, "its record and its claims of host ports");
}

/** The rules alone, and the flows that go by them. */
export async function removeRules(
  attachment: Removal,
  path: string,
  lock: ChangesLock,
): Promise<void> {
  await (await backendOf(attachment.backend, path)).remove(attachment, lock);
  forgetFlows(attachment);
}

/**
 * What is left on a file system that lets nothing be removed is said; it is of a container without
 * rules, and goes when its ports are wanted, or with the next collection of garbage.
 */
function evenOnAFullDisk(work: () => void, what: string): void {
  try {
    work();
  } catch (error) {
    const isOfFiles = error instanceof OperatorError || error instanceof Deno.errors.NotSupported ||
      (error as { code?: string }).code !== undefined;
    if (!isOfFiles) throw error;
    // A descriptor is free again when the removal is repeated, by which nothing need be left.
    const name = errnoName(error) ?? errnoName((error as Error).cause);
    if (name === "EMFILE" || name === "ENFILE") throw fileError(error, "remove", what);
    log.warning(`the rules of a container are removed; ${what} could not be`, {
      error: (error as Error).message,
    });
  }
}

/**
 * Removes what an attachment has, if it is on record.
 *
 * @param wanted whether the attachment as it is by now is still to go
 * @returns whether it was removed
 * @throws {OperatorError}
 */
export async function removeOwner(
  owner: Owner,
  path: string,
  wanted: (record: MappingRecord) => boolean = () => true,
): Promise<boolean> {
  if (!records.read(owner)) return false;
  using _ = await lockAttachment(owner, { forRemoval: true });
  const record = records.read(owner);
  if (!record || !wanted(record)) return false;
  await remove(owner, path);
  return true;
}
