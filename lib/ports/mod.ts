/**
 * Port mappings of containers: reserved, put into the kernel, found missing, put back, removed.
 *
 * The order in time is the plugin's: {@link reserve} before the container has an address,
 * {@link install} once it has one, {@link remove} before it loses it. A runtime that recovers or
 * collects garbage has {@link listOwners}, {@link removeOwner} and {@link restoreMissing}.
 */
import { messageOf, OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import {
  type Attachment,
  type BackendName,
  describeMapping,
  type Endpoint,
  type Mapping,
  type Owner,
} from "./mapping.ts";
import { type Removal, type Snapshot } from "./backend.ts";
import { backendOf } from "./backends.ts";
import { forgetFlows } from "./flows.ts";
import { openWays } from "./reach.ts";
import {
  attachmentLock,
  CHANGES_LOCK,
  claim,
  findHolders,
  prepareState,
  readRecord,
  readRecords,
  type Record,
  release,
  releaseAll,
  removeClaim,
  removeRecord,
  unclaimed,
  writeRecord,
} from "./state.ts";
import type { StartedTool } from "../program/tool.ts";

export type { Attachment, Endpoint, Mapping, Owner, Record, StartedTool };

/** How long, in ms, one of our own changes may hold up another. */
const CHANGES_TIMEOUT_MS = 60_000;
/** How long, in ms, an earlier call for the same attachment is waited for. */
const ATTACHMENT_TIMEOUT_MS = 30_000;

/** A reservation: an attachment that has no address yet. */
export type Reservation = Omit<Attachment, "endpoints"> & { netns: string; path: string };

/**
 * Makes calls for one attachment follow one another, also those whose process was killed and
 * whose children (the delegate) are still at work.
 *
 * @param work gets the lock, to have it held by the programs it starts
 * @throws {OperatorError} `attachment_busy`
 */
export async function withAttachment<T>(
  owner: Owner,
  work: (lock: FileLock) => Promise<T>,
): Promise<T> {
  prepareState();
  using lock = await FileLock.take(attachmentLock(owner), ATTACHMENT_TIMEOUT_MS);
  if (!lock) {
    throw new OperatorError(
      "attachment_busy",
      `another call for ${owner.ifName} of container ${owner.containerId} on ${owner.network}, ` +
        `or a program that it started, has not ended in ${ATTACHMENT_TIMEOUT_MS / 1000} s`,
    );
  }
  try {
    return await work(lock);
  } finally {
    lock.remove();
  }
}

/**
 * Claims the host ports of an attachment, all or none. A claim whose container is gone is taken
 * over, and that container's rules with it.
 *
 * @throws {OperatorError} `port_taken`, naming the holder
 */
export async function reserve(reservation: Reservation): Promise<void> {
  using lock = await lockChanges();
  for (const mapping of reservation.mappings) {
    for (const { claim, holder } of findHolders(mapping, reservation)) {
      if (!holder) removeClaim(claim);
      else if (!await takeOver(holder, lock)) throw portTaken(mapping, holder);
    }
  }
  const before = readRecord(reservation);
  const earlier = before?.earlier ?? (before?.endpoints.length ? before : undefined);
  if (!isNamespaceHandle(reservation.netns)) {
    throw new OperatorError("no_namespace", `${reservation.netns} is no network namespace`);
  }
  const netnsInode = Deno.statSync(reservation.netns).ino!;
  writeRecord({ ...reservation, netnsInode, endpoints: [], earlier });
  for (const mapping of reservation.mappings) claim(mapping, reservation);
}

/** Takes a reservation back. What an earlier ADD of the same attachment did stays. */
export async function cancel(owner: Owner): Promise<void> {
  using _ = await lockChanges();
  const record = readRecord(owner);
  if (!record) return;
  const { earlier } = record;
  releaseOthers(record, earlier?.mappings ?? []);
  if (earlier) writeRecord(earlier);
  else removeRecord(owner);
}

/**
 * Starts the program that {@link install} will need, while the container is being connected: what
 * it costs to start is then paid for already.
 *
 * @param lock of the attachment
 * @throws {OperatorError}
 */
export async function startInstall({ backend, path }: Reservation, lock: FileLock) {
  return await (await backendOf(backend, path)).start(lock);
}

/**
 * Puts the rules of a reserved attachment in place, instead of those of an earlier ADD.
 *
 * @param started by {@link startInstall}
 * @throws {OperatorError} if they could not be; then {@link remove} is called for
 */
export async function install(
  owner: Owner,
  endpoints: readonly Endpoint[],
  started?: StartedTool,
): Promise<void> {
  using lock = await lockChanges();
  const record = readRecord(owner);
  if (!record) throw new OperatorError("not_reserved", `${owner.containerId} has no reservation`);
  const { earlier } = record;
  if (earlier) {
    await (await backendOf(earlier.backend, earlier.path)).remove(earlier, lock);
    releaseOthers(earlier, record.mappings);
  }
  await put({ ...record, earlier: undefined, endpoints }, lock, started);
}

/** Gives the ports of a record back, but for those that are in `kept`. */
function releaseOthers(record: Record, kept: readonly Mapping[]): void {
  const names = kept.map(describeMapping);
  for (const mapping of record.mappings) {
    if (!names.includes(describeMapping(mapping))) release(mapping, record);
  }
}

async function put(record: Record, lock: FileLock, started?: StartedTool): Promise<void> {
  // Before the rules, so that they are never without a record that leads to them.
  writeRecord({ ...record, handles: undefined });
  if (record.snat) openWays(record);
  const backend = await backendOf(record.backend, record.path);
  const handles = await backend.install(record, lock, started);
  writeRecord({ ...record, handles });
  forgetFlows(record);
}

/** Where the rules of an attachment may be whose record is lost. */
export interface Whereabouts {
  chain: string;
  backend: BackendName;
  path: string;
  /** False if it asked for no mappings: then a host that has no iptables has no rules. */
  hasMappings?: boolean;
}

/**
 * Removes rules, claims and record of an attachment, in this order. Nothing there is no error.
 *
 * @param where to look if the record is lost
 * @throws {OperatorError}
 */
export async function remove(owner: Owner, where?: Whereabouts): Promise<void> {
  using lock = await lockChanges();
  const record = readRecord(owner);
  if (record) return await removeKnown(record, record.backend, lock);
  releaseAll(owner);
  if (!where) return;
  const { chain, backend, path, hasMappings = true } = where;
  if (!hasMappings && !(await backendOf(backend, path)).isInstalled()) return;
  await removeKnown({ ...owner, chain, path }, backend, lock);
}

async function removeKnown(attachment: Removal, name: BackendName, lock: FileLock): Promise<void> {
  if (attachment.earlier) await removeKnown(attachment.earlier, attachment.earlier.backend, lock);
  const backend = await backendOf(name, attachment.path ?? "");
  const exact = await backend.remove(attachment, lock);
  forgetFlows(attachment);
  for (const mapping of attachment.mappings ?? []) release(mapping, attachment);
  removeRecord(attachment);
  if (!exact) await putAgain(attachment.containerId, lock);
}

/** Puts all rules of a container in place anew, whichever of them are there. */
async function putAgain(containerId: string, lock: FileLock): Promise<Record[]> {
  const records = readRecords().filter((record) =>
    record.containerId === containerId && record.endpoints.length > 0
  );
  // All before any: those that are found by the comment alone are any of the container's.
  for (const record of records) {
    await (await backendOf(record.backend, record.path)).remove(record, lock);
  }
  for (const record of records) await put(record, lock);
  return records;
}

/** What of an attachment's rules and claims is not there. @throws {OperatorError} */
export async function findMissing(owner: Owner): Promise<string[]> {
  const record = readRecord(owner);
  if (!record) return ["the record of the attachment"];
  const backend = await backendOf(record.backend, record.path);
  return [
    ...(await backend.read()).missing(record),
    ...unclaimed(record).map((port) => `the reservation of ${port}`),
  ];
}

/** Rejects if mappings could not be made on this host, and says why. @throws {OperatorError} */
export async function checkReady(name: BackendName, path: string): Promise<void> {
  prepareState();
  await (await backendOf(name, path)).ready();
}

/** The attachments that have mappings, with whether their container's network still exists. */
export function listOwners(): (Record & { isLive: boolean })[] {
  return readRecords().map((record) => ({ ...record, isLive: isLive(record) }));
}

/**
 * Removes what an attachment of {@link listOwners} has.
 *
 * @param wanted whether the attachment as it is by now is still to go
 * @throws {OperatorError}
 */
export async function removeOwner(
  owner: Owner,
  wanted: (record: Record) => boolean = () => true,
): Promise<void> {
  await withAttachment(owner, async () => {
    const record = readRecord(owner);
    if (record && wanted(record)) await remove(owner);
  });
}

/**
 * Puts back the rules of live attachments that somebody flushed.
 *
 * @param wanted which attachments are looked at; all whose network namespace exists, if absent
 * @returns those whose rules were made anew
 * @throws {OperatorError}
 */
export async function restoreMissing(
  wanted: (record: Record) => boolean = isLive,
): Promise<Owner[]> {
  prepareState();
  using lock = await lockChanges();
  const snapshots = new Map<BackendName, Snapshot>();
  const containers = new Set<string>();
  for (const record of readRecords()) {
    if (record.endpoints.length === 0 || !wanted(record)) continue;
    const snapshot = snapshots.get(record.backend) ??
      await (await backendOf(record.backend, record.path)).read();
    snapshots.set(record.backend, snapshot);
    for (const mapping of record.mappings) claim(mapping, record);
    if (snapshot.missing(record).length > 0) containers.add(record.containerId);
  }
  const restored: Owner[] = [];
  const failures: string[] = [];
  for (const containerId of containers) {
    try {
      restored.push(...await putAgain(containerId, lock));
    } catch (error) {
      // One container whose bridge is gone, say, must not keep the others waiting.
      failures.push(`${containerId}: ${messageOf(error)}`);
    }
  }
  if (failures.length === 0) return restored;
  throw new OperatorError(
    "not_restored",
    `port mappings of ${failures.length} containers could not be put back (of ${restored.length} ` +
      `they were): ${failures.join("; ")}`,
  );
}

/** Whether the network namespace that an attachment was made in still exists. */
export function isLive({ netns, netnsInode }: Record): boolean {
  return isNamespaceHandle(netns) && Deno.statSync(netns).ino === netnsInode;
}

/** @returns false if the holder is alive, or some call is at work for it */
async function takeOver(holder: Record, lock: FileLock): Promise<boolean> {
  if (isLive(holder)) return false;
  using attachment = FileLock.tryTake(attachmentLock(holder));
  if (!attachment) return false;
  await removeKnown(holder, holder.backend, lock);
  attachment.remove();
  return true;
}

function portTaken(mapping: Mapping, holder: Record): OperatorError {
  return new OperatorError(
    "port_taken",
    `host port ${describeMapping(mapping)} is taken by container ${holder.containerId} ` +
      `(network ${holder.network}, interface ${holder.ifName}, ${holder.netns}); ` +
      "choose another port, or remove that container first",
  );
}

async function lockChanges(): Promise<FileLock> {
  const lock = await FileLock.take(CHANGES_LOCK, CHANGES_TIMEOUT_MS);
  if (lock) return lock;
  throw new OperatorError(
    "changes_busy",
    `another change of port mappings holds ${CHANGES_LOCK} for more than ` +
      `${CHANGES_TIMEOUT_MS / 1000} s; try again later`,
  );
}
