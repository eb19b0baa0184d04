/** Putting the rules of an attachment in place, with what the host must allow for them. */
import type { Firewall } from "../firewall/firewall.ts";
import type { ChangeRules } from "../firewall/transaction.ts";
import type { FileLock } from "../kernel/lock.ts";
import { backendOf } from "./backends.ts";
import { forgetFlows } from "./flows.ts";
import { closeLocalnet, hostEndOf, localnetOf, openHairpin, openLocalnet } from "./reach.ts";
import { type MappingRecord, writeRecord } from "./record.ts";

/**
 * The rules before the settings: `route_localnet` is never on without its guard. The record before
 * either, so that they are never without one that leads to them.
 *
 * @throws {OperatorError}
 */
export async function put(
  record: MappingRecord,
  path: string,
  lock: FileLock,
  change: ChangeRules,
  firewall: Firewall,
): Promise<void> {
  const { handles: _, variants: __, ...rest } = record;
  const bare = { ...rest, wire: hostEndOf(record)?.index ?? rest.wire };
  writeRecord(bare);
  // Fails where no route leads to the container, and then no table is made either.
  const device = record.snat ? localnetOf(record) : undefined;
  const backend = await backendOf(record.backend, path);
  writeRecord({ ...bare, ...await backend.install(record, lock, change, firewall) });
  if (device !== undefined) openLocalnet(device, record);
  closeLocalnet(record, device);
  if (record.snat) openHairpin(record);
  forgetFlows(record);
}
