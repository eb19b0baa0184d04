/**
 * The port mapper as a function: a delegate's (or the previous plugin's) container, reachable at
 * ports of the host. The process around it is main.ts; a runtime in this program calls it as is.
 */
import { isContainerId, isInterfaceName } from "../../lib/cni/config.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation, Plugin } from "../../lib/cni/invocation.ts";
import { isObject, type JsonObject } from "../../lib/base/json.ts";
import { convertResult, readResult } from "../../lib/cni/result.ts";
import { NEWEST_VERSION, SPEC_VERSIONS } from "../../lib/cni/version.ts";
import { messageOf, OperatorError } from "../../lib/base/error.ts";
import { type Endpoint, type Owner } from "../../lib/ports/mapping.ts";
import { quote } from "../../lib/base/json.ts";
import { familyOfKnown } from "../../lib/base/ip.ts";
import {
  cancel,
  checkReady,
  findMissing,
  install,
  listOwners,
  remove,
  removeOwner,
  type Reservation,
  reserve,
  restoreMissing,
  startInstall,
  withAttachment,
} from "../../lib/ports/mod.ts";
import type { FileLock } from "../../lib/kernel/lock.ts";
import { type Base, type Config, delegateKnows, readConfig, readForRemoval } from "./config.ts";
import { runDelegate } from "./delegate.ts";
import { warnOfListeners } from "./listeners.ts";

/** See docs/port-mapper.md. Rejects with a CniError only. */
export const portMapper: Plugin = async (invocation) => {
  switch (invocation.command) {
    case "ADD":
      return await add(invocation);
    case "DEL":
      return await del(invocation);
    case "CHECK":
      return await check(invocation);
    case "GC":
      return await collectGarbage(invocation);
    case "STATUS":
      return await status(invocation);
    case "VERSION":
      return { cniVersion: NEWEST_VERSION, supportedVersions: [...SPEC_VERSIONS] };
  }
};

async function add(invocation: Invocation): Promise<JsonObject> {
  const config = readConfig(invocation.config);
  const owner = readOwner(invocation, config);
  const { netns } = invocation;
  if (!netns) {
    throw environment("CNI_NETNS", "the path of the container's network namespace", netns);
  }
  if (!config.delegate && !config.prevResult) {
    throw new CniError(
      CNI_CODES.invalidConfig,
      "delegate is missing; it must be the config of the plugin that connects the container, " +
        "unless the port mapper follows that plugin in a list (prevResult)",
    );
  }
  return await attached(owner, async (lock) => {
    const { mappings, placement } = config;
    if (mappings.length === 0) {
      return readConnection(await connect(invocation, config, lock), config);
    }
    const reservation = { ...owner, ...placement, mappings, netns, path: invocation.path };
    await rules(() => reserve(reservation));
    const warnings: string[] = [];
    try {
      return await connectAndMap(invocation, config, reservation, lock, warnings);
    } catch (error) {
      throw error instanceof CniError ? withDetails(error, ...warnings) : error;
    }
  });
}

async function connectAndMap(
  invocation: Invocation,
  config: Config,
  reservation: Reservation,
  lock: FileLock,
  warnings: string[],
): Promise<JsonObject> {
  const connecting = connect(invocation, config, lock);
  // While the delegate is at work. Its outcome is awaited whatever becomes of this.
  const starting = rules(() => startInstall(reservation, lock));
  starting.catch(() => {});
  let printed: JsonObject | undefined;
  try {
    warnings.push(...warnOfListeners(config.mappings));
    printed = await connecting;
  } catch (error) {
    await connecting.catch(() => {});
    await starting.then((tool) => tool.finish(), () => {});
    await cancel(reservation);
    throw error;
  }
  try {
    const result = readConnection(printed, config);
    const endpoints = endpointsOf(result, config);
    await rules(async () => install(reservation, endpoints, await starting));
    return result;
  } catch (error) {
    // A program that got no input changes nothing.
    await starting.then((tool) => tool.finish(), () => {});
    const story = await undo(invocation, config, reservation, lock);
    throw error instanceof CniError ? withDetails(error, ...story) : error;
  }
}

/** What was noticed on the way belongs to the error, if there comes one. */
function withDetails(error: CniError, ...more: readonly string[]): CniError {
  const details = [error.details, ...more].filter((text) => text).join("; ");
  return new CniError(error.cniCode, error.message, details || undefined, { cause: error });
}

/** What the delegate printed, or the plugin before. */
async function connect(
  invocation: Invocation,
  config: Config,
  lock: FileLock,
): Promise<JsonObject | undefined> {
  return config.delegate ? await runDelegate(invocation, config, lock) : config.prevResult;
}

/** The container's connection, in the version of the config. */
function readConnection(
  printed: JsonObject | undefined,
  { delegate, cniVersion }: Config,
): JsonObject {
  const source = delegate ? `the result of delegate ${delegate.type}` : "prevResult";
  if (printed) return convertResult(printed, cniVersion, source);
  throw new CniError(CNI_CODES.delegateFailed, `${source} is empty; try the plugin on its own`);
}

/** The first address of each family. */
function endpointsOf(result: JsonObject, { mappings, delegate }: Config): Endpoint[] {
  const endpoints = new Map<number, Endpoint>();
  for (const { address } of readResult(result, "the result").ips) {
    const [text, prefixLength] = address.split("/") as [string, string];
    const family = familyOfKnown(text);
    if (endpoints.has(family)) continue;
    endpoints.set(family, { family, address: text, prefixLength: Number(prefixLength) });
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
        `host address ${hostAddress} is of IPv${
          familyOfKnown(hostAddress)
        }, and ${from} gave the ` +
          "container no such address",
      );
    }
  }
  return [...endpoints.values()];
}

/**
 * After a connection without rules: nothing may be left of the ADD.
 *
 * @returns what could not be undone, as an operator would say it
 */
async function undo(
  invocation: Invocation,
  config: Config,
  owner: Owner,
  lock: FileLock,
): Promise<string[]> {
  const story: string[] = [];
  try {
    await remove(owner);
  } catch (failure) {
    story.push(`what was made of the rules could not be removed: ${messageOf(failure)}`);
  }
  if (config.delegate) {
    try {
      await runDelegate({ ...invocation, command: "DEL" }, config, lock);
    } catch (failure) {
      story.push(`delegate ${config.delegate.type} failed to undo its ADD: ${messageOf(failure)}`);
    }
  }
  return story;
}

/** The rules first: while they stand, the address must not become another container's. */
async function del(invocation: Invocation): Promise<undefined> {
  const config = readForRemoval(invocation.config);
  const owner = readOwner(invocation, config);
  const { placement, hasMappings } = config;
  const where = placement && { ...placement, hasMappings, path: invocation.path };
  await attached(owner, async (lock) => {
    await rules(() => remove(owner, where));
    if (config.delegate) await runDelegate(invocation, config, lock);
  });
}

async function check(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config);
  const owner = readOwner(invocation, config);
  await attached(owner, async (lock) => {
    if (delegateKnows(config, "0.4.0")) await runDelegate(invocation, config, lock);
    if (config.mappings.length === 0) return;
    const missing = await rules(() => findMissing(owner));
    if (missing.length === 0) return;
    throw new CniError(
      CNI_CODES.rulesUnchanged,
      `port mappings of container ${owner.containerId} are not complete: missing ` +
        `${missing.length === 1 ? "is" : "are"} ${missing.join("; ")}. ` +
        "Put them back with: mesos-cni isolator recover (or let the runtime call GC)",
    );
  });
}

/** What belongs to no attachment any more goes; what the others lost comes back. */
async function collectGarbage(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config);
  const isValid = readValidAttachments(invocation.config);
  const own = listOwners().filter(({ network }) => network === config.name);
  await rules(async () => {
    for (const owner of own) if (!isValid(owner)) await removeOwner(owner);
    await restoreMissing((owner) => owner.network === config.name && isValid(owner));
  });
  if (delegateKnows(config, "1.1.0")) await runDelegate(invocation, config);
}

/** Specification 1.1.0, section 2, "GC": `cni.dev/valid-attachments`. */
function readValidAttachments(config: JsonObject): (owner: Owner) => boolean {
  const list = config["cni.dev/valid-attachments"];
  if (!Array.isArray(list)) {
    throw new CniError(
      CNI_CODES.invalidConfig,
      `cni.dev/valid-attachments must be a list, not ${quote(list)}`,
    );
  }
  const valid = new Set(list.map((one) => {
    if (isObject(one) && typeof one.containerID === "string" && typeof one.ifname === "string") {
      return `${one.containerID}:${one.ifname}`;
    }
    throw new CniError(
      CNI_CODES.invalidConfig,
      `cni.dev/valid-attachments has an entry without containerID and ifname: ${quote(one)}`,
    );
  }));
  return ({ containerId, ifName }) => valid.has(`${containerId}:${ifName}`);
}

async function status(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config);
  try {
    await checkReady(config.placement.backend, invocation.path);
  } catch (error) {
    throw new CniError(CNI_CODES.pluginNotAvailable, messageOf(error), undefined, { cause: error });
  }
  if (delegateKnows(config, "1.1.0")) await runDelegate(invocation, config);
}

function readOwner({ containerId, ifName }: Invocation, { name }: Base): Owner {
  if (!isContainerId(containerId)) {
    throw environment("CNI_CONTAINERID", "letters, digits and _.-", containerId);
  }
  if (!isInterfaceName(ifName)) {
    throw environment("CNI_IFNAME", "a name of at most 15 bytes", ifName);
  }
  return { containerId, network: name, ifName };
}

function environment(variable: string, wanted: string, found: string | undefined): CniError {
  const state = found ? `is ${quote(found)}` : "is not set";
  return new CniError(
    CNI_CODES.invalidEnvironment,
    `${variable} ${state}; the runtime must set it to ${wanted}`,
  );
}

/** One call at a time for an attachment. */
async function attached<T>(owner: Owner, work: (lock: FileLock) => Promise<T>): Promise<T> {
  return await rules(() => withAttachment(owner, work));
}

/** Work on rules, whose errors become the protocol's. */
async function rules<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CniError) throw error;
    if (!(error instanceof OperatorError)) throw error;
    const code = error.code.endsWith("_busy") ? CNI_CODES.tryAgainLater : CNI_CODES.rulesUnchanged;
    throw new CniError(code, error.message, error.details, { cause: error });
  }
}
