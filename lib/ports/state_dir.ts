/** Where the port mapper keeps its state: on a file system of this boot, as rules are. */
import { variable } from "../base/environment.ts";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { fileError } from "../base/file_error.ts";
import { messageOf, OperatorError } from "../base/error.ts";

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

/** Only root's: labels and ids of others' containers are in it. */
export const STATE_MODE = { directory: 0o700, file: 0o600 } as const;

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

/** Removes a file, if it is there. @throws {OperatorError} `file` */
export function removeFile(file: string): void {
  try {
    Deno.removeSync(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError(error, "remove", file);
  }
}

/** PATH of this process, for calls that come from no runtime. */
export function ownPath(): string {
  return variable("PATH") ?? "";
}
