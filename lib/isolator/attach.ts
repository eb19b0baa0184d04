/** One interface of one container: making it and taking it away. */
import * as chain from "../cni/chain.ts";
import { remembered } from "../cni/history.ts";
import { type Network, parseNetwork } from "../cni/config.ts";
import { CniError } from "../cni/error.ts";
import { isObject, type JsonObject, parseJson } from "../base/json.ts";
import { readResult, type Result } from "../cni/result.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { atLeast } from "../cni/version.ts";
import { FileLock } from "../kernel/lock.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { log, type LogFields } from "../base/log.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { NetworkInfo } from "../mesos/messages.ts";
import type { CatalogEntry } from "../cni/catalog.ts";
import type { Locate } from "../cni/invocation.ts";
import {
  makeDirectory,
  readCheckpoint,
  removeDirectory,
  writeCheckpoint,
} from "../kernel/atomic_file.ts";
import type { Isolator } from "./isolator.ts";
import { type Attachment, type Layout, REQUESTS_MODE } from "../containers/layout.ts";
import { networkInfoOf, withNetworkInfo } from "../containers/network_info.ts";
import { readRequest, type Request } from "../containers/request.ts";

/** How long, in ms, plugins may take to collect garbage while an attach waits. */
const LONGEST_COLLECTION = 60_000;

/**
 * Gives a container an interface: ADD of the network's plugins, whose config is on disk before
 * they run and whose result is afterwards.
 *
 * @throws {OperatorError} a failed plugin's, among others; `detach` then clears what is left
 */
export async function attach(
  isolator: Isolator,
  id: ContainerId,
  { network: name, ifName }: Attachment,
  networkInfo: NetworkInfo,
  { network: configured, file }: Pick<CatalogEntry, "network" | "file">,
  signal?: AbortSignal,
): Promise<Result> {
  const { layout } = isolator.settings;
  const config = JSON.stringify(withNetworkInfo(configured.raw, networkInfo, file));
  const network = parseNetwork(config, file);
  const searchPath = isolator.searchPath();
  const locate: Locate = (type) => isolator.plugin(type, { id, searchPath, signal });

  // A plugin that is missing now would be missing at the cleanup too.
  for (const { type } of network.plugins) locate(type);
  // A directory before the config: without it, the interface counts as detached.
  makeDirectory(layout.interface(id, name, ifName));
  // As the request: a framework's labels may hold what is nobody else's business.
  writeCheckpoint(layout.config(id, name), config, 0o600);
  using _ = atLeast(network.cniVersion, "1.1.0") ? await holdOffGarbage(layout) : undefined;
  const result = await called(
    "ADD",
    { id, ifName, network },
    () => chain.add(network, invocation(isolator, id, ifName, network, searchPath), locate),
  );
  const path = layout.result(id, name, ifName);
  writeCheckpoint(path, JSON.stringify(result));
  return readResult(result, path);
}

/** While it is held, no plugin is told which attachments are valid: this one is not on the list. */
function holdOffGarbage({ requests, collectionLock }: Layout): Promise<FileLock> {
  makeDirectory(requests, REQUESTS_MODE);
  return FileLock.require(collectionLock, LONGEST_COLLECTION, "a garbage collection", "shared");
}

/**
 * Takes an interface away: DEL with the config and the result of its ADD. An interface whose
 * plugin never ran has no config, and needs none. May be repeated.
 *
 * @throws {OperatorError} and keeps the checkpoint, so that it can be tried again
 */
export async function detach(
  isolator: Isolator,
  id: ContainerId,
  request: Request | undefined,
  { network: name, ifName }: Attachment,
): Promise<void> {
  const { layout } = isolator.settings;
  const searchPath = isolator.searchPath(request);
  const network = await inContext(id, name, () => attachedNetwork(isolator, id, name));
  if (network) {
    await called("DEL", { id, ifName, network }, () =>
      chain.del(
        network,
        invocation(isolator, id, ifName, network, searchPath),
        (type) => isolator.plugin(type, { id, searchPath }),
        attachedResult(isolator, id, { network: name, ifName }),
      ));
  }
  removeDirectory(layout.interface(id, name, ifName));
}

/**
 * Asks the network's plugins whether an interface is still as they made it.
 *
 * @returns false if nobody was asked: the network's version is too old, or it disables this
 * @throws {OperatorError} with the first plugin's objection
 */
export async function checkAttachment(
  isolator: Isolator,
  id: ContainerId,
  { network: name, ifName }: Attachment,
): Promise<boolean> {
  const network = attachedNetwork(isolator, id, name);
  const result = attachedResult(isolator, id, { network: name, ifName });
  if (!network || !result) {
    throw new OperatorError(
      "not_attached",
      `container ${id} was never completely attached to network ${name}`,
    );
  }
  const searchPath = isolator.searchPath(readRequest(isolator.settings.layout, id));
  return await called("CHECK", { id, ifName, network }, () =>
    chain.check(
      network,
      invocation(isolator, id, ifName, network, searchPath),
      (type) => isolator.plugin(type, { id, searchPath }),
      result,
    ));
}

function invocation(
  isolator: Isolator,
  id: ContainerId,
  ifName: string,
  network: Network,
  searchPath: string,
): chain.Attachment {
  const handle = isolator.settings.layout.namespace(id);
  return {
    containerId: id,
    // After a reboot the handle is an empty file: the plugins clean up without it.
    netns: isNamespaceHandle(handle) ? handle : undefined,
    ifName,
    path: isolator.settings.path,
    searchPath,
    capabilityArgs: capabilityArgs(networkInfoOf(network.raw)),
  };
}

/** What plugins that declare a capability get in `runtimeConfig` (CNI conventions). */
function capabilityArgs(networkInfo: NetworkInfo | undefined): JsonObject {
  const mappings = networkInfo?.port_mappings ?? [];
  if (mappings.length === 0) return {};
  return {
    portMappings: mappings.map((mapping) => ({
      hostPort: mapping.host_port,
      containerPort: mapping.container_port,
      protocol: mapping.protocol?.toLowerCase() ?? "tcp",
    })),
  };
}

/**
 * The network as it was at ADD. Should its checkpoint be damaged, today's config is the best
 * guess left.
 *
 * @param warn told of that
 */
export function attachedNetwork(
  isolator: Isolator,
  id: ContainerId,
  name: string,
  warn: (message: string, fields: LogFields) => void = log.warning,
): Network | undefined {
  const { layout } = isolator.settings;
  const path = layout.config(id, name);
  const text = readCheckpoint(path);
  if (text === undefined) return undefined;
  try {
    const network = parseNetwork(text, path);
    networkInfoOf(network.raw);
    return network;
  } catch (error) {
    warn("a damaged checkpoint: using the network's config as it is now", {
      container: id,
      network: name,
      file: path,
      error: messageOf(error),
    });
    const { network, file } = isolator.networks.read(name);
    const asked = readRequest(layout, id)?.networks.find((one) => one.name === name);
    if (!asked) return network;
    return parseNetwork(
      JSON.stringify(withNetworkInfo(network.raw, asked.networkInfo, file)),
      file,
    );
  }
}

/** The result of ADD; undefined if it didn't get that far, or was damaged. */
export function attachedResult(
  { settings: { layout } }: Isolator,
  id: ContainerId,
  { network, ifName }: Attachment,
): JsonObject | undefined {
  const path = layout.result(id, network, ifName);
  try {
    const result = parseJson(readCheckpoint(path) ?? "null");
    if (!isObject(result)) return undefined;
    readResult(result, path);
    return result;
  } catch (error) {
    log.warning("ignoring a damaged result", {
      container: id,
      network,
      file: path,
      error: messageOf(error),
    });
    return undefined;
  }
}

/** Runs a call of a network's plugins, of which the history keeps a line. */
async function called<R extends JsonObject | boolean | void>(
  command: "ADD" | "DEL" | "CHECK",
  { id, ifName, network }: { id: ContainerId; ifName: string; network: Network },
  work: () => Promise<R>,
): Promise<R> {
  const about = () => ({
    by: "isolator" as const,
    command,
    plugin: network.plugins.map(({ type }) => type).join("+"),
    network: network.name,
    container: id,
    interface: ifName,
  });
  return await inContext(id, network.name, () => remembered(about, network.raw, work));
}

/** Says of an error which container and network it is about, as those of a chain do. */
async function inContext<R>(
  id: ContainerId,
  network: string,
  work: () => R | Promise<R>,
): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OperatorError) || error instanceof CniError) throw error;
    throw new OperatorError(
      error.code,
      `container ${id}, network ${network}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
