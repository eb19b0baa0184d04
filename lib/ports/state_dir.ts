/** Where the port mapper keeps its state: on a file system of this boot, as rules are. */
import { withFile } from "../base/file_error.ts";
import { isA, unless } from "../base/unless.ts";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { STATE_MODE } from "../firewall/records.ts";

export const STATE_DIR = "/run/mesos-cni/port-mapper";
export const RECORDS = `${STATE_DIR}/attachments`;
export const CLAIMS = `${STATE_DIR}/ports`;
/** For each interface whose `route_localnet` was set, a mark of each attachment that needs it. */
export const LOCALNET = `${STATE_DIR}/localnet`;
export const LOCKS = `${STATE_DIR}/locks`;
/** What was found of rules without a record; absent until the kernel was looked through. */
export const ORPHANS = `${STATE_DIR}/orphans.json`;
/** Records that could not be read. */
export const DAMAGED = `${STATE_DIR}/damaged`;

/** Makes the directories. @throws {OperatorError} `no_state` */
export function prepareState(): void {
  try {
    for (const directory of [STATE_DIR, RECORDS, CLAIMS, LOCKS]) {
      makeDirectory(directory, STATE_MODE.directory);
    }
  } catch (error) {
    throw new OperatorError(
      "no_state",
      `${STATE_DIR} cannot be made: ${messageOf(error)}; port mappings are root's to make`,
      { cause: error },
    );
  }
}

/**
 * Removes a claim or a mark; none is fine too. It is not flushed to the disk, as it was not when it was
 * made: a disk that reports an error must not keep the rest from its removal.
 *
 * @throws {OperatorError} `file`
 */
export function removeLink(path: string): void {
  withFile("remove", path, () => unless(isA(Deno.errors.NotFound), () => Deno.removeSync(path)));
}
