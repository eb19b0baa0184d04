/**
 * Claims of host ports: `ports/PROTOCOL-PORT/ADDRESS`, a symbolic link whose target is the key of
 * its holder's record. A link is made whole or not at all.
 *
 * Records say the same, and are too many to read at each ADD. So the directories of claims have a time
 * that no clock says, by which it shows that nobody else has changed them; else they are made anew.
 */
import { removeCheckpoint } from "../kernel/atomic_file.ts";
import { entriesIn, namesIn } from "../base/exists.ts";
import { ANY_ADDRESS, familyOfKnown } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";
import { fileError, withFile } from "../base/file_error.ts";
import { errno, tried, unless } from "../base/unless.ts";
import { STATE_MODE } from "../firewall/records.ts";
import { describeMapping, keyOf, type Mapping, type Owner } from "./mapping.ts";
import { type MappingRecord, records } from "./record.ts";
import { CLAIMS, ORPHANS, removeLink } from "./state_dir.ts";

/** A claim that stands in a mapping's way, and whose it is, unless its record is gone. */
export interface Obstacle {
  claim: string;
  holder?: MappingRecord;
}

/** Of directories as this program left them, when they were changed, in ms: a second after time began. */
const SEALED = 1000;

/**
 * Whether a path is as this program left it.
 *
 * @param absent what it means that nothing is there
 */
function isSealed(path: string, absent: boolean): boolean {
  const found = unless(errno("ENOENT", "ENOTDIR"), () => Deno.lstatSync(path));
  return found ? found.isDirectory && found.mtime?.getTime() === SEALED : absent;
}

/** Where that fails, records are read once more. */
function seal(path: string): void {
  tried(() => Deno.utimeSync(path, new Date(), new Date(SEALED)), undefined);
}

/** Changes claims of a port; what somebody else has changed before shows as before. */
function changing(directory: string, work: () => void): void {
  const own = [CLAIMS, directory].filter((path) => isSealed(path, path === directory));
  work();
  for (const path of own) seal(path);
}

/**
 * Makes claims be those of the records, where somebody has changed them, and lets rules be looked for
 * whose record may be lost as well.
 *
 * @param ports that are about to be claimed
 * @throws {OperatorError} `file`
 */
export function mendClaims(ports: readonly Mapping[]): void {
  const isWhole = isSealed(CLAIMS, false) &&
    ports.every((mapping) => isSealed(claimDirectory(mapping), true));
  if (isWhole) return;
  removeCheckpoint(ORPHANS);
  const keys = new Map<string, string[]>();
  for (const record of records.walk()) {
    const mappings = [...record.mappings, ...record.earlier?.mappings ?? []];
    for (const path of mappings.flatMap(pathsOf)) {
      keys.set(path, [...keys.get(path) ?? [], keyOf(record)]);
    }
  }
  const remove = (path: string) =>
    withFile("remove", path, () => Deno.removeSync(path, { recursive: true }));
  const directories = new Set([...keys.keys()].map(directoryOf));
  for (const { name, isDirectory } of entriesIn(CLAIMS)) {
    const directory = `${CLAIMS}/${name}`;
    if (!isDirectory || !directories.has(directory)) {
      remove(directory);
      continue;
    }
    for (const path of namesIn(directory).map((name) => `${directory}/${name}`)) {
      if (!keys.get(path)?.includes(readLink(path) ?? "")) remove(path);
    }
  }
  for (const directory of directories) makeClaimDirectory(directory);
  for (const [path, [first]] of keys) {
    withFile("make", path, () => unless(errno("EEXIST"), () => Deno.symlinkSync(first!, path)));
  }
  for (const path of [...directories, CLAIMS]) seal(path);
}

/** Claims of others on a mapping's port. */
export function findObstacles(mapping: Mapping, claimant: Owner): Obstacle[] {
  const own = keyOf(claimant);
  const directory = claimDirectory(mapping);
  const wanted = claimedAddresses(mapping);
  return namesIn(directory)
    .filter((name) => wanted.some((address) => overlap(address, name)))
    .map((name) => ({ claim: `${directory}/${name}`, key: readLink(`${directory}/${name}`) }))
    .filter(({ key }) => key !== undefined && key !== own)
    .map(({ claim, key }) => ({ claim, holder: records.readKey(key!) }));
}

/**
 * Takes a port. One's own claim of an earlier ADD is kept.
 *
 * @throws {OperatorError} `port_taken` if another has it; `file`
 */
export function claim(mapping: Mapping, owner: Owner): void {
  const directory = claimDirectory(mapping);
  changing(directory, () => {
    makeClaimDirectory(directory);
    for (const path of pathsOf(mapping)) {
      try {
        Deno.symlinkSync(keyOf(owner), path);
      } catch (error) {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw fileError(error, "make", path);
        if (isHeldBy(path, owner)) continue;
        throw new OperatorError(
          "port_taken",
          `host port ${describeMapping(mapping)} is claimed by another container (${path} leads ` +
            `to ${readLink(path)})`,
        );
      }
    }
  });
}

function makeClaimDirectory(path: string): void {
  withFile("make", path, () => {
    Deno.mkdirSync(path, { recursive: true, mode: STATE_MODE.directory });
  });
}

/** Gives a mapping's port back. What is not, or no longer, the owner's stays. */
export function release(mapping: Mapping, owner: Owner): void {
  const own = pathsOf(mapping).filter((path) => isHeldBy(path, owner));
  // A release that was cut off may have left its directory empty.
  removeClaims(claimDirectory(mapping), own);
}

/** Gives back the ports of a record that `kept` does not have. */
export function releaseOthers(record: MappingRecord, kept: readonly Mapping[]): void {
  const names = new Set(kept.map(describeMapping));
  for (const mapping of record.mappings) {
    if (!names.has(describeMapping(mapping))) release(mapping, record);
  }
}

/** Gives back whatever ports an owner has, when its record is lost. */
export function releaseAll(owner: Owner): void {
  for (const { name, isDirectory } of entriesIn(CLAIMS)) {
    const directory = `${CLAIMS}/${name}`;
    const own = (isDirectory ? namesIn(directory) : []).map((name) => `${directory}/${name}`)
      .filter((path) => isHeldBy(path, owner));
    if (own.length > 0) removeClaims(directory, own);
  }
}

/** A claim whose record is lost: rules may lead its port on. */
export function removeDangling(path: string): void {
  removeCheckpoint(ORPHANS);
  removeClaims(directoryOf(path), [path]);
}

function removeClaims(directory: string, paths: readonly string[]): void {
  changing(directory, () => {
    for (const path of paths) removeLink(path);
    removeIfEmpty(directory);
  });
}

/** The ports of a record that are not all claimed by it. */
export function unclaimed(record: MappingRecord): string[] {
  return record.mappings
    .filter((mapping) => !pathsOf(mapping).every((path) => isHeldBy(path, record)))
    .map(describeMapping);
}

function removeIfEmpty(directory: string): void {
  try {
    Deno.removeSync(directory);
  } catch {
    // Not empty, as another address of the port is claimed; or not there.
  }
}

function isHeldBy(path: string, owner: Owner): boolean {
  return readLink(path) === keyOf(owner);
}

function readLink(path: string): string | undefined {
  return unless(errno("ENOENT", "ENOTDIR", "EINVAL", "ELOOP"), () => Deno.readLinkSync(path));
}

const directoryOf = (path: string) => path.slice(0, path.lastIndexOf("/"));

function claimDirectory({ protocol, hostPort }: Mapping): string {
  return `${CLAIMS}/${protocol}-${hostPort}`;
}

function pathsOf(mapping: Mapping): string[] {
  return claimedAddresses(mapping).map((address) => `${claimDirectory(mapping)}/${address}`);
}

/** The addresses of this host that a mapping is for, one for all of a family. */
export function claimedAddresses({ hostAddress }: { hostAddress?: string | undefined }): string[] {
  return hostAddress === undefined ? Object.values(ANY_ADDRESS) : [hostAddress];
}

/** Whether two addresses of the host, or all of a family, have a packet in common. */
export function overlap(a: string, b: string): boolean {
  if (familyOfKnown(a) !== familyOfKnown(b)) return false;
  const any = ANY_ADDRESS[familyOfKnown(a)];
  return a === b || a === any || b === any;
}
