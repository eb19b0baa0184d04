/** The plugin that the port mapper wraps: found as any runtime would find it. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { convertResult } from "../../lib/cni/result.ts";
import { messageOf } from "../../lib/base/error.ts";
import type { WorkLock } from "../../lib/kernel/work_lock.ts";
import { log } from "../../lib/base/log.ts";
import { Fields } from "../../lib/cni/fields.ts";
import { openNamespace } from "../shared/namespace.ts";
import type { Base } from "./config.ts";

/** What GC is told; without it, a delegate would take every attachment for stale. */
const VALID = "cni.dev/valid-attachments";

/**
 * Runs the delegate with its own config.
 *
 * @param lock is not free before the delegate has ended, even if this process is killed
 * @throws {CniError} delegateFailed, with the delegate's own error in the details
 */
export async function runDelegate(
  invocation: Invocation,
  { delegate, prevResult }: Base,
  lock?: WorkLock,
): Promise<JsonObject | undefined> {
  const { type, cniVersion } = delegate!;
  try {
    const config: JsonObject = { ...delegate! };
    if (prevResult) config.prevResult = convertResult(prevResult, cniVersion, "prevResult");
    const valid = new Fields(invocation.config).get(VALID);
    if (valid !== undefined) config[VALID] = valid;
    const plugin = invocation.locate(type, {
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

/**
 * Runs the delegate's DEL. One that does not speak the config's version has refused ADD too: where
 * the container has no such interface there is nothing to take back, and to fail would keep what the
 * runtime remembers of the container for good.
 *
 * @throws {CniError} delegateFailed
 */
export async function undoDelegate(
  invocation: Invocation,
  config: Base,
  lock: WorkLock | undefined,
): Promise<void> {
  try {
    await runDelegate(invocation, config, lock);
  } catch (error) {
    const { cause } = error as Error;
    const isUnknown = cause instanceof CniError && cause.cniCode === CNI_CODES.incompatibleVersion;
    if (!isUnknown || isAttached(invocation)) throw error;
    log.warning("nothing is attached by a delegate that does not speak the config's version", {
      delegate: config.delegate!.type,
      error: messageOf(cause),
    });
  }
}

function isAttached({ netns, ifName }: Invocation): boolean {
  using container = openNamespace(netns);
  return container?.findLink(ifName) !== undefined;
}
