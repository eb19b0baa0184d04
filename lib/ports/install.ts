/** Putting the rules of an attachment in place, with what the host must allow for them. */
import type { FileLock } from "../kernel/lock.ts";
import { backendOf } from "./backends.ts";
import { forgetFlows } from "./flows.ts";
import { localnetOf, openHairpin, openLocalnet } from "./reach.ts";
import { type MappingRecord, writeRecord } from "./record.ts";

/**
 * The rules before the settings: `route_localnet` is never on without its guard. The record before
 * either, so that they are never without one that leads to them.
 *
 * @throws {OperatorError}
 */
export async function put(record: MappingRecord, path: string, lock: FileLock): Promise<void> {
  const { handles: _, variants: __, path: ___, localnet: ____, ...bare } = record;
  writeRecord(bare);
  const localnet = record.snat ? localnetOf(record) : undefined;
  const traces = await (await backendOf(record.backend, path)).install(record, lock);
  writeRecord({ ...bare, ...traces, localnet });
  if (localnet !== undefined) openLocalnet(localnet, record);
  if (record.snat) openHairpin(record);
  forgetFlows(record);
}
