/** How the container is connected: by the delegate, or by the plugin before in a list. */
import { canonicalAddress, familyOfKnown } from "../../lib/base/ip.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import { convertResult, readResult } from "../../lib/cni/result.ts";
import type { WorkLock } from "../../lib/kernel/work_lock.ts";
import type { Endpoint } from "../../lib/ports/mapping.ts";
import type { Undo } from "../shared/undo.ts";
import type { Config } from "./config.ts";
import { runDelegate } from "./delegate.ts";

/** @throws {CniError} invalidConfig for a config by which nothing connects the container */
export function requireSource({ delegate, prevResult }: Config): void {
  if (delegate || prevResult) return;
  throw new CniError(
    CNI_CODES.invalidConfig,
    "delegate is missing; it must be the config of the plugin that connects the container, " +
      "unless the port mapper follows that plugin in a list (prevResult)",
  );
}

/**
 * Runs the delegate's ADD, or takes the result of the plugin before.
 *
 * @param lock is not free before the delegate has ended, even if this process is killed
 * @returns the result, in the version of the port mapper's config
 * @throws {CniError} delegateFailed
 */
export async function connect(
  invocation: Invocation,
  config: Config,
  lock: WorkLock | undefined,
  undo: Undo,
): Promise<JsonObject> {
  const { delegate, cniVersion, prevResult } = config;
  const printed = delegate ? await runDelegate(invocation, config, lock) : prevResult;
  if (delegate) undo(() => runDelegate({ ...invocation, command: "DEL" }, config, lock));
  const source = delegate ? `the result of delegate ${delegate.type}` : "prevResult";
  if (printed) return convertResult(printed, cniVersion, source);
  throw new CniError(CNI_CODES.delegateFailed, `${source} is empty; try the plugin on its own`);
}

/**
 * The first address of each family.
 *
 * @throws {CniError} delegateFailed if there is none, badArgument for a host address of a family
 *   that the container has no address of
 */
export function endpointsOf(result: JsonObject, { mappings, delegate }: Config): Endpoint[] {
  const endpoints = new Map<number, Endpoint>();
  for (const { address: cidr } of readResult(result, "the result").ips) {
    const [text, prefixLength] = cidr.split("/") as [string, string];
    const address = canonicalAddress(text);
    const family = familyOfKnown(address);
    if (endpoints.has(family)) continue;
    endpoints.set(family, { family, address, prefixLength: Number(prefixLength) });
  }
  const from = delegate ? `delegate ${delegate.type}` : "the plugin before";
  if (endpoints.size === 0) {
    throw new CniError(
      CNI_CODES.delegateFailed,
      `${from} gave the container no address to lead host ports to; configure its ipam`,
    );
  }
  for (const { hostAddress } of mappings) {
    if (hostAddress !== undefined && !endpoints.has(familyOfKnown(hostAddress))) {
      throw new CniError(
        CNI_CODES.badArgument,
        `host address ${hostAddress} is of IPv${familyOfKnown(hostAddress)}, and ${from} gave ` +
          "the container no such address",
      );
    }
  }
  return [...endpoints.values()];
}
