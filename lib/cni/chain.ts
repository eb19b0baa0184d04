/**
 * A network's plugins, one after the other (specification section 3): each gets the result of
 * the one before it on ADD, and the last result of ADD on CHECK and, in reverse order, on DEL.
 */
import { log } from "../base/log.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { FirewallTransaction } from "../firewall/transaction.ts";
import { isContainerId, isInterfaceName, type Network, type PluginConfig } from "./config.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { CniCommand, Locate, Plugin } from "./invocation.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { convertResult } from "./result.ts";
import { atLeast } from "./version.ts";

/** What belongs to one interface of one container (specification section 3). */
export interface Attachment {
  containerId: string;
  /** Path of the network namespace; absent for a DEL after it is gone. */
  netns?: string;
  ifName: string;
  cniArgs?: string;
  /** PATH for the plugins. */
  path: string;
  /** CNI_PATH for the plugins. */
  searchPath: string;
  /** By capability; handed to the plugins whose config declares that capability. */
  capabilityArgs: JsonObject;
}

/**
 * Attaches a container to a network.
 *
 * If a plugin fails, what the ones before it did stands: the caller calls {@link del}, as it
 * does for every attachment, when it gives the container up.
 *
 * @returns the last plugin's result, in the network's version
 * @throws {OperatorError} of the plugin that failed: a {@link CniError} with its code, or that
 *   of `locate`
 */
export async function add(
  network: Network,
  attachment: Attachment,
  locate: Locate,
): Promise<JsonObject> {
  checkNames(attachment);
  // Found before the first one runs: a chain that cannot be completed is not begun.
  const chain = network.plugins.map((plugin) => ({ plugin, run: locate(plugin.type) }));
  let result: JsonObject | undefined;
  // The rules of all plugins in one transaction, once all else has been done.
  const firewall = new FirewallTransaction(attachment.path);
  for (const { plugin, run } of chain) {
    const add: Plugin = (invocation) => run({ ...invocation, firewall });
    const printed = await invoke("ADD", network, plugin, attachment, add, locate, result);
    const where = describe("ADD", network, plugin, attachment);
    if (printed === undefined) {
      throw new CniError(
        CNI_CODES.undecodable,
        `${where}: the plugin reports success but printed no result`,
      );
    }
    result = convertResult(printed, network.cniVersion, `${where}: result`);
  }
  await firewall.commit();
  return result!;
}

/**
 * Detaches a container from a network; repeating it is no error (it is not for the plugins).
 *
 * @param prevResult the result of {@link add}, if it is known
 * @throws {OperatorError} when a plugin failed: all were called, whatever the ones before answered,
 *   and all failures are told
 */
export async function del(
  network: Network,
  attachment: Attachment,
  locate: Locate,
  prevResult?: JsonObject,
): Promise<void> {
  const previous = atLeast(network.cniVersion, "0.4.0")
    ? readPrevious(network, attachment, prevResult)
    : undefined;
  const failures: OperatorError[] = [];
  for (const plugin of network.plugins.toReversed()) {
    try {
      await invoke("DEL", network, plugin, attachment, locate(plugin.type), locate, previous);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw together(failures);
}

/** Several failures as one, with the code of the first. */
function together(failures: readonly OperatorError[]): OperatorError {
  const [first] = failures;
  if (failures.length === 1) return first!;
  const message = failures.map(messageOf).join("\n");
  const details = failures.map((one) => one.details).filter((one) => one).join("\n") || undefined;
  return saying(first!, message, details);
}

function saying(cause: OperatorError, message: string, details?: string): OperatorError {
  return cause instanceof CniError
    ? new CniError(cause.cniCode, message, details, { cause })
    : new OperatorError(cause.code, message, { cause });
}

/**
 * Tells each plugin of a network which attachments are still valid, so that it gives back what
 * others hold (GC, specification 1.1).
 *
 * @returns false if nobody was told: GC came with specification 1.1.0
 * @throws {OperatorError} when a plugin failed; all were called
 */
export async function collectGarbage(
  network: Network,
  environment: Pick<Attachment, "path" | "searchPath">,
  valid: readonly { containerId: string; ifName: string }[],
  locate: Locate,
): Promise<boolean> {
  if (!atLeast(network.cniVersion, "1.1.0") || network.raw.disableGC === true) return false;
  const attachments = valid.map(({ containerId, ifName }) => ({
    containerID: containerId,
    ifname: ifName,
  }));
  const more = { "cni.dev/valid-attachments": attachments };
  await forEach("GC", network, environment, more, locate);
  return true;
}

/**
 * Asks each plugin of a network whether it would take an ADD now (STATUS, specification 1.1).
 *
 * @returns false if nobody was asked: STATUS came with specification 1.1.0
 * @throws {OperatorError} of those that would not
 */
export async function askStatus(
  network: Network,
  environment: Pick<Attachment, "path" | "searchPath">,
  locate: Locate,
): Promise<boolean> {
  if (!atLeast(network.cniVersion, "1.1.0")) return false;
  await forEach("STATUS", network, environment, {}, locate);
  return true;
}

/** A call that is about no container, to every plugin. */
async function forEach(
  command: "GC" | "STATUS",
  network: Network,
  { path, searchPath }: Pick<Attachment, "path" | "searchPath">,
  more: JsonObject,
  locate: Locate,
): Promise<void> {
  const failures: OperatorError[] = [];
  for (const plugin of network.plugins) {
    const config = { ...requestConfig(network, plugin, {}), ...more };
    try {
      const run = locate(plugin.type);
      await run({ command, containerId: "", ifName: "", path, searchPath, config, locate });
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      const message = `network ${network.name}, ${command} by ${plugin.type}: ${error.message}`;
      failures.push(saying(error, message, error.details));
    }
  }
  if (failures.length > 0) throw together(failures);
}

/** A stored result that cannot be read must not keep a container from being cleaned up. */
function readPrevious(
  network: Network,
  { containerId, ifName }: Attachment,
  stored: JsonObject | undefined,
): JsonObject | undefined {
  try {
    return stored && convertResult(stored, network.cniVersion, "stored result");
  } catch (error) {
    log.warning("detaching without the result of the attach", {
      network: network.name,
      container: containerId,
      interface: ifName,
      reason: messageOf(error),
    });
    return undefined;
  }
}

/**
 * Asks the plugins whether an attachment is as they made it.
 *
 * @param prevResult the result of {@link add}
 * @returns false if nobody was asked: CHECK came with specification 0.4.0, and a network may
 *   disable it
 * @throws {OperatorError} of the first plugin that objects
 */
export async function check(
  network: Network,
  attachment: Attachment,
  locate: Locate,
  prevResult: JsonObject,
): Promise<boolean> {
  if (network.disableCheck || !atLeast(network.cniVersion, "0.4.0")) return false;
  const previous = convertResult(prevResult, network.cniVersion, "stored result");
  for (const plugin of network.plugins) {
    await invoke("CHECK", network, plugin, attachment, locate(plugin.type), locate, previous);
  }
  return true;
}

async function invoke(
  command: CniCommand,
  network: Network,
  plugin: PluginConfig,
  attachment: Attachment,
  run: Plugin,
  locate: Locate,
  prevResult: JsonObject | undefined,
): Promise<JsonObject | undefined> {
  const { containerId, netns, ifName, cniArgs, path, searchPath, capabilityArgs } = attachment;
  const config = requestConfig(network, plugin, capabilityArgs, prevResult);
  try {
    return await run({
      command,
      containerId,
      ...(netns === undefined ? {} : { netns }),
      ifName,
      ...(cniArgs === undefined ? {} : { args: cniArgs }),
      path,
      searchPath,
      config,
      locate,
    });
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const message = `${describe(command, network, plugin, attachment)}: ${error.message}`;
    throw saying(error, message, error.details);
  }
}

function describe(
  command: CniCommand,
  network: Network,
  { type }: PluginConfig,
  { containerId, ifName }: Attachment,
): string {
  return `network ${network.name}, ${command} by ${type} for ${ifName} of container ${containerId}`;
}

/**
 * What one plugin of a network reads on standard input (specification section 3, "Deriving
 * request configuration"): its own config, and what the runtime puts in.
 */
export function requestConfig(
  network: Network,
  plugin: PluginConfig,
  capabilityArgs: JsonObject,
  prevResult?: JsonObject,
): JsonObject {
  const config: JsonObject = { ...plugin.raw, name: network.name };
  // A config without a version goes to the plugin without one, as it always has.
  if (network.raw.cniVersion !== undefined || network.raw.cniVersions !== undefined) {
    config.cniVersion = network.cniVersion;
  }
  if (network.kind === "conflist" && isObject(network.raw.args)) {
    config.args = { ...(isObject(config.args) ? config.args : {}), ...network.raw.args };
  }
  const wanted = Object.entries(capabilityArgs).filter(([key]) =>
    Object.hasOwn(plugin.capabilities, key) && plugin.capabilities[key]
  );
  if (wanted.length > 0) config.runtimeConfig = Object.fromEntries(wanted);
  delete config.prevResult;
  if (prevResult !== undefined) config.prevResult = prevResult;
  return config;
}

function checkNames({ containerId, ifName }: Attachment): void {
  const wrong = !isContainerId(containerId)
    ? `container id ${
      JSON.stringify(containerId)
    }: must start with a letter or digit, with only letters, digits and _.- after it`
    : !isInterfaceName(ifName)
    ? `interface name ${
      JSON.stringify(ifName)
    }: must have 1 to 15 bytes, without "/", ":", "%" or space`
    : undefined;
  if (wrong !== undefined) throw new CniError(CNI_CODES.invalidEnvironment, wrong);
}
