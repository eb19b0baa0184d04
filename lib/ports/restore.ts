/** Mappings that lost something: what is missing, and putting it back. */
import { messageOf, OperatorError } from "../base/error.ts";
import { log } from "../base/log.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { changeRules } from "../firewall/transaction.ts";
import { backendOf } from "./backends.ts";
import { claim, mendClaims, unclaimed } from "./claims.ts";
import { closedLocalnet } from "./reach.ts";
import { put } from "./reservation.ts";
import { namespaceFate } from "../netlink/attached_network.ts";
import { type Fate, Sight } from "../netlink/sight.ts";
import { lockChanges } from "./locks.ts";
import type { BackendName, Owner } from "./mapping.ts";
import { isInstalled, type MappingRecord, records } from "./record.ts";
import { removeRules } from "./removal.ts";
import { prepareState } from "./state_dir.ts";

/** Of each of these, the rules and the settings that are not there. */
async function missingOf(
  name: BackendName,
  path: string,
  some: readonly MappingRecord[],
): Promise<string[][]> {
  const missing = await (await backendOf(name, path)).missing(some);
  return some.map((record, i) => [...missing[i]!, ...closedLocalnet(record)]);
}

/** What of an attachment's rules and claims is not there. @throws {OperatorError} */
export async function findMissing(owner: Owner, path: string): Promise<string[]> {
  const record = records.read(owner);
  if (!record) return ["the record of the attachment"];
  const [missing] = await missingOf(record.backend, path, [record]);
  return [
    ...missing!,
    ...unclaimed(record).map((port) => `the reservation of ${port}`),
  ];
}

/**
 * What of live attachments' rules is not there, by container; each backend is read once.
 *
 * @param owners as {@link listOwners} has them
 * @throws {OperatorError} where the rules can't be read
 */
export async function listMissing(
  path: string,
  owners: readonly OwnerNow[],
): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const living = owners.filter((one) => isInstalled(one) && one.fate === "lives");
  for (const [name, some] of Map.groupBy(living, ({ backend }) => backend)) {
    const missing = await missingOf(name, path, some);
    for (const [i, { containerId }] of some.entries()) {
      const lost = [...found.get(containerId) ?? [], ...missing[i]!];
      if (lost.length > 0) found.set(containerId, lost);
    }
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

/** An attachment that has mappings, with whether its container's network still exists. */
export type OwnerNow = MappingRecord & { fate: Fate };

export function listOwners(sight = new Sight()): OwnerNow[] {
  return [...walkOwners(sight)];
}

/** The same, one at a time. */
export function* walkOwners(sight: Sight): Generator<OwnerNow> {
  for (const record of records.walk()) yield { ...record, fate: namespaceFate(record, sight) };
}

/**
 * Puts back the rules of live attachments that somebody flushed.
 *
 * @param path where to look for the programs that change rules
 * @param wanted which attachments are looked at; all whose network namespace exists, if absent
 * @returns those whose rules were made anew
 * @throws {OperatorError} `not_restored`, when all that could be are
 */
export async function restoreMissing(
  path: string,
  wanted: (record: MappingRecord) => boolean = isOfTheLiving(),
): Promise<Owner[]> {
  using lock = await lockChanges();
  const restored: Owner[] = [];
  const failures: string[] = [];
  // One container whose bridge is gone, say, must not keep the others waiting.
  const trying = async (some: readonly MappingRecord[], work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      for (const { containerId } of some) failures.push(`${containerId}: ${messageOf(error)}`);
    }
  };
  const found = records.list().filter((record) => isInstalled(record) && wanted(record));
  mendClaims(found.flatMap(({ mappings }) => mappings));
  const sight = new Sight();
  const { here: asked = [], elsewhere = [] } = Object.groupBy(
    found,
    ({ maker }) => sight.isInAnotherNetwork(maker) ? "elsewhere" : "here",
  );
  for (const { containerId, network, maker } of elsewhere) {
    log.warning("port mappings are in another network than this one, and were not looked at", {
      container: containerId,
      network,
      netns: `net:[${maker!.net}]`,
    });
  }
  for (const [name, some] of Map.groupBy(asked, ({ backend }) => backend)) {
    await trying(some, async () => {
      const missing = await missingOf(name, path, some);
      for (const [i, record] of some.entries()) {
        await trying([record], async () => {
          for (const mapping of record.mappings) claim(mapping, record);
          if (missing[i]!.length === 0) return;
          await removeRules(record, path, lock);
          const work = (firewall: Firewall) => put(record, path, lock, firewall);
          await changeRules(undefined, path, "ports", work);
          restored.push(record);
        });
      }
    });
  }
  if (failures.length === 0) return restored;
  throw new OperatorError(
    "not_restored",
    `port mappings of ${failures.length} attachments could not be put back (of ${restored.length} ` +
      `they were): ${failures.join("; ")}`,
  );
}
