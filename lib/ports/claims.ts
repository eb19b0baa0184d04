/**
 * Claims of host ports: `ports/PROTOCOL-PORT/ADDRESS`, a symbolic link whose target is the key of
 * its holder's record. A link is made whole or not at all.
 */
import { namesIn } from "../base/exists.ts";
import { ANY_ADDRESS, familyOfKnown } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";
import { fileError, withFile } from "../base/file_error.ts";
import { isA, unless } from "../base/unless.ts";
import { STATE_MODE } from "../firewall/records.ts";
import { describeMapping, keyOf, type Mapping, type Owner } from "./mapping.ts";
import { type MappingRecord, records } from "./record.ts";
import { CLAIMS, removeLink } from "./state_dir.ts";

/** A claim that stands in a mapping's way, and whose it is, unless its record is gone. */
export interface Obstacle {
  claim: string;
  holder?: MappingRecord;
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
  withFile("make", directory, () => {
    Deno.mkdirSync(directory, { recursive: true, mode: STATE_MODE.directory });
  });
  for (const path of pathsOf(mapping)) {
    try {
      Deno.symlinkSync(keyOf(owner), path);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw fileError(error, "make", path);
      if (isHeldBy(path, owner)) continue;
      throw new OperatorError(
        "port_taken",
        `host port ${describeMapping(mapping)} is claimed by another container (${path} leads to ` +
          `${readLink(path)})`,
      );
    }
  }
}

/** Gives a mapping's port back. What is not, or no longer, the owner's stays. */
export function release(mapping: Mapping, owner: Owner): void {
  for (const path of pathsOf(mapping)) if (isHeldBy(path, owner)) removeClaim(path);
  // A release that was cut off may have left it empty.
  removeIfEmpty(claimDirectory(mapping));
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
  for (const port of namesIn(CLAIMS)) {
    for (const address of namesIn(`${CLAIMS}/${port}`)) {
      const path = `${CLAIMS}/${port}/${address}`;
      if (isHeldBy(path, owner)) removeClaim(path);
    }
  }
}

export function removeClaim(path: string): void {
  removeLink(path);
  removeIfEmpty(path.slice(0, path.lastIndexOf("/")));
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
  return unless(isA(Deno.errors.NotFound), () => Deno.readLinkSync(path));
}

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
