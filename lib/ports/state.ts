/**
 * What is remembered of mappings, on disk alone: a record for each attachment, and for each
 * reserved port a claim that names its holder's record. A record is written before its claims
 * and removed after them, so wherever a process dies, the record knows all there may be.
 *
 * Records: `attachments/KEY.json`. Claims: `ports/PROTOCOL-PORT/ADDRESS`, a symbolic link whose
 * target is the key: made whole or not at all. All of it is of this boot, as rules are.
 */
import { OperatorError } from "../base/error.ts";
import type { RuleHandle } from "../nft/changes.ts";
import { type Attachment, describeMapping, keyOf, type Mapping, type Owner } from "./mapping.ts";
import { ANY_ADDRESS, type Family, familyOfKnown } from "../base/ip.ts";

export const STATE_DIR = "/run/mesos-cni/port-mapper";
const RECORDS = `${STATE_DIR}/attachments`;
const CLAIMS = `${STATE_DIR}/ports`;
const LOCKS = `${STATE_DIR}/locks`;

/** An attachment with what is needed to find its rules again, and to know if it is still there. */
export interface Record extends Attachment {
  /** Path of the container's network namespace, and its inode at the time of ADD. */
  netns: string;
  netnsInode: number;
  /** PATH of the runtime, for the programs that change rules. */
  path: string;
  /** Where nf_tables keeps the rules; absent where that is not known. */
  handles?: { [family in Family]?: RuleHandle[] };
  /** While an ADD is repeated: what the one before it left, which stands until the new one does. */
  earlier?: Record;
}

/** Makes the directories. @throws {OperatorError} `no_state` */
export function prepareState(): void {
  try {
    for (const directory of [RECORDS, CLAIMS, LOCKS]) {
      Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    throw new OperatorError(
      "no_state",
      `${STATE_DIR} cannot be made: ${(error as Error).message}; port mappings are root's to make`,
      { cause: error },
    );
  }
}

/** Held while a port is claimed and while rules are changed. */
export const CHANGES_LOCK = `${STATE_DIR}/lock`;

/** Held for the whole of an ADD or DEL of one attachment. */
export function attachmentLock(owner: Owner): string {
  return `${LOCKS}/${keyOf(owner)}`;
}

function recordFile(key: string): string {
  return `${RECORDS}/${key}.json`;
}

export function readRecord(owner: Owner): Record | undefined {
  return readKey(keyOf(owner));
}

function readKey(key: string): Record | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(recordFile(key)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new OperatorError(
      "bad_state",
      `${recordFile(key)} is damaged: ${(error as Error).message}; remove it, ` +
        "and DEL finds the container's rules by their comment",
      { cause: error },
    );
  }
}

/** Of a record that a killed process was writing; changes hold the lock, so there is one. */
const UNFINISHED = ".new";

export function writeRecord(record: Record): void {
  const file = recordFile(keyOf(record));
  writeFile(file, JSON.stringify(record), file + UNFINISHED);
}

export function removeRecord(owner: Owner): void {
  const file = recordFile(keyOf(owner));
  removeFile(file);
  removeFile(file + UNFINISHED);
}

/** All records, in no order. */
export function readRecords(): Record[] {
  return names(RECORDS).filter((name) => name.endsWith(".json"))
    .flatMap((name) => readKey(name.slice(0, -".json".length)) ?? []);
}

/** Claims that stand in a mapping's way, by whose they are. */
export function findHolders(
  mapping: Mapping,
  claimant: Owner,
): { claim: string; holder?: Record }[] {
  const own = keyOf(claimant);
  const directory = claimDirectory(mapping);
  const wanted = claimedAddresses(mapping);
  return names(directory)
    .filter((name) => wanted.some((address) => overlap(address, name)))
    .map((name) => `${directory}/${name}`)
    .filter((claim) => Deno.readLinkSync(claim) !== own)
    .map((claim) => ({ claim, holder: readKey(Deno.readLinkSync(claim)) }));
}

/** Takes a port that nobody stands in the way of. */
export function claim(mapping: Mapping, owner: Owner): void {
  const directory = claimDirectory(mapping);
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const address of claimedAddresses(mapping)) {
    try {
      Deno.symlinkSync(keyOf(owner), `${directory}/${address}`);
    } catch (error) {
      // Its own, of an earlier ADD.
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/** Gives a mapping's port back. What is not, or no longer, the owner's stays. */
export function release(mapping: Mapping, owner: Owner): void {
  const directory = claimDirectory(mapping);
  for (const address of claimedAddresses(mapping)) {
    const claim = `${directory}/${address}`;
    if (isHeldBy(claim, owner)) removeClaim(claim);
  }
  // A release that was cut off may have left it empty.
  removeIfEmpty(directory);
}

/** Gives back whatever ports an owner has, when its record is lost. */
export function releaseAll(owner: Owner): void {
  for (const port of names(CLAIMS)) {
    for (const address of names(`${CLAIMS}/${port}`)) {
      const claim = `${CLAIMS}/${port}/${address}`;
      if (isHeldBy(claim, owner)) removeClaim(claim);
    }
  }
}

export function removeClaim(claim: string): void {
  removeFile(claim);
  removeIfEmpty(claim.slice(0, claim.lastIndexOf("/")));
}

function removeIfEmpty(directory: string): void {
  try {
    Deno.removeSync(directory);
  } catch {
    // Not empty, as another address of the port is claimed; or not there.
  }
}

/** Whether the ports of a record are all claimed by it, and if not, which are not. */
export function unclaimed(record: Record): string[] {
  return record.mappings.filter((mapping) =>
    !claimedAddresses(mapping).every((address) =>
      isHeldBy(`${claimDirectory(mapping)}/${address}`, record)
    )
  ).map(describeMapping);
}

function isHeldBy(claim: string, owner: Owner): boolean {
  try {
    return Deno.readLinkSync(claim) === keyOf(owner);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function claimDirectory({ protocol, hostPort }: Mapping): string {
  return `${CLAIMS}/${protocol}-${hostPort}`;
}

function claimedAddresses({ hostAddress }: Mapping): string[] {
  return hostAddress === undefined ? Object.values(ANY_ADDRESS) : [hostAddress];
}

function overlap(a: string, b: string): boolean {
  if (familyOfKnown(a) !== familyOfKnown(b)) return false;
  const any = ANY_ADDRESS[familyOfKnown(a)];
  return a === b || a === any || b === any;
}

function names(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Writes a file whole or not at all. @param temporary where, until it is whole */
export function writeFile(
  file: string,
  text: string,
  temporary = `${file}.${crypto.randomUUID()}.new`,
): void {
  {
    using opened = Deno.openSync(temporary, {
      write: true,
      create: true,
      truncate: true,
      mode: 0o600,
    });
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) {
      written += opened.writeSync(bytes.subarray(written));
    }
    opened.syncDataSync();
  }
  Deno.renameSync(temporary, file);
}

function removeFile(file: string): void {
  try {
    Deno.removeSync(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
