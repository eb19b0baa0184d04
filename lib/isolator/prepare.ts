/** The first step of a container: which networks, and which namespaces they take. */
import { type PluginConfig, pluginsIn } from "../cni/config.ts";
import { OperatorError } from "../base/error.ts";
import { CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS } from "../kernel/namespaces.ts";
import { attachedComment } from "../firewall/owner.ts";
import { quotedComment } from "../firewall/rule.ts";
import { usualBackend } from "../ports/backends.ts";
import { isHostname } from "../kernel/uts.ts";
import { type ContainerId, parentOf, rootOf } from "../mesos/container_id.ts";
import type { ContainerConfig, ContainerLaunchInfo, NetworkInfo } from "../mesos/messages.ts";
import { log } from "../base/log.ts";
import type { Isolator } from "./isolator.ts";
import { pluginFile } from "../cni/locate.ts";
import { requireVersion } from "../cni/spoken_versions.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { bootId, uptime } from "../kernel/process_identity.ts";
import { elsewhere, fateOf } from "../containers/liveness.ts";
import { Sight } from "../netlink/sight.ts";
import { withNetworkInfo } from "../containers/network_info.ts";
import {
  type NetworkMode,
  readRequest,
  type Request,
  writeRequest,
} from "../containers/request.ts";

/** Files in a container's directory, where the directories of its networks are too. */
const TAKEN_NAMES = ["ns", "hosts", "hostname", "resolv.conf"];

const TEST_NETWORK = "__MESOS_TEST__";

/**
 * Decides on a container's networks and writes the decision down.
 *
 * @returns what the containerizer must do at launch; empty for a container of the host network
 * @throws {OperatorError} for an unknown network, one named twice, or a container prepared twice
 */
export async function prepare(
  isolator: Isolator,
  id: ContainerId,
  config: ContainerConfig,
): Promise<ContainerLaunchInfo> {
  const { layout } = isolator.settings;
  const earlier = readRequest(layout, id);
  if (earlier || layout.listAttachments(id).length > 0) {
    const fate = fateOf(layout, id, earlier, new Sight(await ProcessTable.look()));
    if (fate === "elsewhere") throw elsewhere(id);
    throw new OperatorError(
      "prepared_twice",
      fate === "lives"
        ? `container ${id} exists and is alive: choose another id`
        : `container ${id} has not been cleaned up since it died: do so first ` +
          `(mesos-cni cleanup ${id})`,
    );
  }
  const request = decide(isolator, id, config);
  await requireVersions(isolator, request);
  writeRequest(layout, id, request);
  return launchInfoOf(request);
}

/** Asked while there is nothing to undo: an ADD that can't be would leave a DEL that can't be. */
async function requireVersions(isolator: Isolator, { networks }: Request): Promise<void> {
  const searchPath = isolator.searchPath();
  const environment = { path: isolator.settings.path, searchPath };
  await Promise.all(networks.map(({ name }) => {
    const { network, file } = isolator.networks.read(name);
    return requireVersion(
      network,
      file,
      environment,
      (type) => pluginFile(type, searchPath, isolator.registry),
    );
  }));
}

function decide(isolator: Isolator, id: ContainerId, config: ContainerConfig): Request {
  const debug = config.container_class === "DEBUG";
  if (debug && !parentOf(id)) {
    throw new OperatorError("bad_message", `container ${id} is DEBUG, but has no parent`);
  }
  const info = config.container_info;
  const rest = {
    format: 1,
    debug,
    rootfs: config.rootfs,
    prepared: new Date().toISOString(),
    preparedUptime: uptime(),
    bootId: bootId(),
  } as const;

  if (parentOf(id) && (debug || !info?.network_infos?.length)) {
    return { ...rest, mode: modeOfRoot(isolator, rootOf(id)), networks: [] };
  }
  if (info?.type !== undefined && info.type !== "MESOS") {
    throw new OperatorError(
      "bad_message",
      `container ${id} is of type ${info.type}: CNI networks are for MESOS containers`,
    );
  }
  const networks = (info?.network_infos ?? [])
    .filter((networkInfo) => networkInfo.name !== undefined)
    .map((networkInfo, i) => ({
      name: networkInfo.name!,
      ifName: `eth${i}`,
      networkInfo,
    }));
  checkNetworks(isolator, id, networks);
  if (networks.length === 0) return { ...rest, mode: "host", networks: [] };
  if (info?.hostname !== undefined && !isHostname(info.hostname)) {
    throw new OperatorError(
      "bad_message",
      `container ${id}: ${JSON.stringify(info.hostname.slice(0, 80))} is no hostname: letters, ` +
        `digits, "-" and ".", at most 64 characters`,
    );
  }
  return {
    ...rest,
    mode: "own",
    networks,
    hostname: info?.hostname,
    ...networks.some((network) => network.name.includes(TEST_NETWORK)) ? { test: true } : {},
  };
}

function checkNetworks(
  isolator: Isolator,
  containerId: ContainerId,
  networks: readonly { name: string; networkInfo: NetworkInfo }[],
): void {
  const seen = new Set<string>();
  for (const { name, networkInfo } of networks) {
    if (seen.has(name)) {
      throw new OperatorError("network_twice", `network ${name} is asked for twice`);
    }
    if (TAKEN_NAMES.includes(name)) {
      throw new OperatorError(
        "bad_config",
        `network ${name} can't be joined: a container's own file of that name is where its ` +
          `directory would be; rename the network`,
      );
    }
    // Refused now, while there is nothing to undo.
    const { network, file } = isolator.networks.read(name);
    withNetworkInfo(network.raw, networkInfo, file);
    const isNamed = network.plugins.flatMap(({ raw }) => pluginsIn(raw)).some((plugin) =>
      plugin.ipMasq === true && isolator.registry.get(String(plugin.type))?.missing &&
      (plugin.ipMasqBackend ?? usualBackend(isolator.settings.path)) === "iptables"
    );
    if (isNamed) quotedComment(attachedComment({ network: name, containerId }));
    if (
      networkInfo.port_mappings?.length &&
      !network.plugins.some((plugin) => mapsPorts(isolator, plugin))
    ) {
      log.warning("no plugin of the network maps ports: nothing will lead to them", {
        network: name,
        file,
      });
    }
    seen.add(name);
  }
}

/**
 * Whether a network leads ports to its containers; `unknown` where a plugin is not known.
 *
 * @throws {OperatorError} for a network that can't be read
 */
export function portMapping(isolator: Isolator, name: string): "yes" | "no" | "unknown" {
  const { plugins } = isolator.networks.read(name).network;
  if (plugins.some((plugin) => mapsPorts(isolator, plugin))) return "yes";
  return plugins.every(({ type }) => isolator.registry.has(type)) ? "no" : "unknown";
}

/** Mesos' form reaches our port mapper, libcni's every plugin with the capability. */
function mapsPorts({ registry }: Isolator, { type, capabilities }: PluginConfig): boolean {
  return capabilities.portMappings === true || registry.get(type)?.mapsPorts === "mesos";
}

/** How a container shares in its root's network, which may be the agent's. */
function modeOfRoot(isolator: Isolator, root: ContainerId): NetworkMode {
  const { layout } = isolator.settings;
  const mode = readRequest(layout, root)?.mode;
  if (mode) return mode === "host" ? "host" : "parent";
  return layout.listAttachments(root).length > 0 ? "parent" : "host";
}

function launchInfoOf({ mode, debug, test }: Request): ContainerLaunchInfo {
  if (mode === "host") return {};
  const environment = {
    // An executor binds to its own address, not to the agent's that it inherits (MESOS-3553).
    variables: [{ name: "LIBPROCESS_IP", type: "VALUE" as const, value: "0.0.0.0" }],
  };
  if (mode === "own") {
    const clone_namespaces = test
      ? [CLONE_NEWNS, CLONE_NEWUTS]
      : [CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWUTS];
    return { environment, clone_namespaces };
  }
  const enter_namespaces = [CLONE_NEWNET, CLONE_NEWUTS];
  return debug
    ? { environment, enter_namespaces }
    : { environment, enter_namespaces, clone_namespaces: [CLONE_NEWNS] };
}
