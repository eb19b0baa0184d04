/** The plugin that the port mapper wraps: a process, as any runtime would run it. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { findPlugin } from "../../lib/cni/find.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/cni/json.ts";
import { processPlugin } from "../../lib/cni/process.ts";
import { convertResult } from "../../lib/cni/result.ts";
import { messageOf } from "../../lib/error.ts";
import type { FileLock } from "../../lib/linux/lock.ts";
import type { Base } from "./config.ts";

/**
 * Runs the delegate with its own config.
 *
 * @param lock is not free before the delegate has ended, even if this process is killed
 * @throws {CniError} delegateFailed, with the delegate's own error in the details
 */
export async function runDelegate(
  invocation: Invocation,
  { delegate, prevResult }: Base,
  lock?: FileLock,
): Promise<JsonObject | undefined> {
  const { type, cniVersion } = delegate!;
  try {
    const config: JsonObject = { ...delegate! };
    if (prevResult) config.prevResult = convertResult(prevResult, cniVersion, "prevResult");
    const plugin = processPlugin(findPlugin(type, invocation.searchPath), {
      start: (spawn) => lock ? lock.heldByChildren(spawn) : spawn(),
    });
    return await plugin({ ...invocation, config });
  } catch (error) {
    const own = error instanceof CniError ? ` (code ${error.cniCode})` : "";
    const details = error instanceof CniError ? error.details : undefined;
    throw new CniError(
      CNI_CODES.delegateFailed,
      `delegate ${type} failed to ${invocation.command}: ${messageOf(error)}`,
      `${messageOf(error)}${own}${details ? `: ${details}` : ""}`,
      { cause: error },
    );
  }
}
