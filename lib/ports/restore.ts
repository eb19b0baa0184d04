/** Mappings that lost something: what is missing, and putting it back. */
import { messageOf, OperatorError } from "../base/error.ts";
import { changeRules } from "../firewall/transaction.ts";
import type { Snapshot } from "./backend.ts";
import { backendOf } from "./backends.ts";
import { claim, unclaimed } from "./claims.ts";
import { put } from "./install.ts";
import { namespaceFate } from "./liveness.ts";
import { type Fate, Sight } from "../netlink/sight.ts";
import { lockChanges } from "./locks.ts";
import type { BackendName, Owner } from "./mapping.ts";
import { isInstalled, type MappingRecord, readRecord, readRecords } from "./record.ts";
import { removeRules } from "./removal.ts";
import { ownPath, prepareState } from "./state_dir.ts";

/** What of an attachment's rules and claims is not there. @throws {OperatorError} */
export async function findMissing(owner: Owner, path: string): Promise<string[]> {
  const record = readRecord(owner);
  if (!record) return ["the record of the attachment"];
  const backend = await backendOf(record.backend, path);
  return [
    ...await (await backend.read()).missing(record),
    ...unclaimed(record).map((port) => `the reservation of ${port}`),
  ];
}

/**
 * What of live attachments' rules is not there, by container; each backend is read once.
 *
 * @throws {OperatorError} where the rules can't be read
 */
export async function listMissing(path: string = ownPath()): Promise<Map<string, string[]>> {
  const snapshots = new Map<BackendName, Snapshot>();
  const found = new Map<string, string[]>();
  const sight = new Sight();
  for (const record of readRecords()) {
    if (!isInstalled(record) || namespaceFate(record, sight) !== "lives") continue;
    const snapshot = snapshots.get(record.backend) ??
      await (await backendOf(record.backend, path)).read();
    snapshots.set(record.backend, snapshot);
    const missing = await snapshot.missing(record);
    if (missing.length === 0) continue;
    found.set(record.containerId, [...found.get(record.containerId) ?? [], ...missing]);
  }
  return found;
}

/** Rejects if mappings could not be made on this host, and says why. @throws {OperatorError} */
export async function checkReady(name: BackendName, path: string): Promise<void> {
  prepareState();
  await (await backendOf(name, path)).ready();
}

function isOfTheLiving(sight = new Sight()): (record: MappingRecord) => boolean {
  return (record) => namespaceFate(record, sight) === "lives";
}

/** The attachments that have mappings, with whether their container's network still exists. */
export function listOwners(sight = new Sight()): (MappingRecord & { fate: Fate })[] {
  return readRecords().map((record) => ({ ...record, fate: namespaceFate(record, sight) }));
}

/**
 * Puts back the rules of live attachments that somebody flushed.
 *
 * @param wanted which attachments are looked at; all whose network namespace exists, if absent
 * @param path where to look for the programs that change rules; this process's PATH if absent
 * @returns those whose rules were made anew
 * @throws {OperatorError} `not_restored`, when all that could be are
 */
export async function restoreMissing(
  wanted: (record: MappingRecord) => boolean = isOfTheLiving(),
  path: string = ownPath(),
): Promise<Owner[]> {
  prepareState();
  using lock = await lockChanges();
  const snapshots = new Map<BackendName, Snapshot>();
  const restored: Owner[] = [];
  const failures: string[] = [];
  for (const record of readRecords()) {
    if (!isInstalled(record) || !wanted(record)) continue;
    try {
      const snapshot = snapshots.get(record.backend) ??
        await (await backendOf(record.backend, path)).read();
      snapshots.set(record.backend, snapshot);
      for (const mapping of record.mappings) claim(mapping, record);
      if ((await snapshot.missing(record)).length === 0) continue;
      await removeRules(record, record.backend, path, lock);
      await changeRules(
        undefined,
        path,
        "ports",
        (change, firewall) => put(record, path, lock, change, firewall),
      );
      restored.push(record);
    } catch (error) {
      // One container whose bridge is gone, say, must not keep the others waiting.
      if (!(error instanceof OperatorError)) throw error;
      failures.push(`${record.containerId}: ${messageOf(error)}`);
    }
  }
  if (failures.length === 0) return restored;
  throw new OperatorError(
    "not_restored",
    `port mappings of ${failures.length} attachments could not be put back (of ${restored.length} ` +
      `they were): ${failures.join("; ")}`,
  );
}
