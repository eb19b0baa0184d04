/** The port mapper's config, read once into values that can hold nothing bad. */
import { isPluginType, typesIn } from "../../lib/cni/config.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { type JsonObject, quote } from "../../lib/base/json.ts";
import {
  atLeast,
  DEFAULT_VERSION,
  isSpecVersion,
  SPEC_VERSIONS,
  type SpecVersion,
} from "../../lib/cni/version.ts";
import { messageOf } from "../../lib/base/error.ts";
import { log } from "../../lib/base/log.ts";
import { usualBackend } from "../../lib/ports/backends.ts";
import {
  BACKENDS,
  chainProblem,
  describeMapping,
  isDevice,
  type Mapping,
  type Placement,
} from "../../lib/ports/mapping.ts";
import { isLoopback } from "../../lib/base/ip.ts";
import { Fields } from "../../lib/cni/fields.ts";
import { isOfMesos } from "../../lib/cni/port_mappings.ts";
import { readMapping, readRuntimeMappings, requireFew } from "../shared/port_mappings.ts";

/** What every command needs. */
export interface Base {
  cniVersion: SpecVersion;
  name: string;
  /** The delegate's config as it is run; absent in a list, after another plugin. */
  delegate?: JsonObject & { type: string; cniVersion: SpecVersion };
  /** What the plugin before in a list, or the last ADD, resulted in. */
  prevResult?: JsonObject;
}

export interface Config extends Base {
  placement: Placement;
  mappings: Mapping[];
  /** Whether Mesos' isolator calls: what a framework wrote is in its `args`. */
  isMesos: boolean;
  /** Whether a framework may take ports that processes of the host listen on. */
  allowHostPorts: boolean;
}

const NETWORK_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

/**
 * @param path where to look for iptables first
 * @throws {CniError} invalidConfig for what the operator wrote, badArgument for what a framework
 *   asks, incompatibleVersion
 */
export function readConfig(written: JsonObject, path: string): Config {
  const config = new Fields(written, "", CNI_CODES.invalidConfig);
  const base = readBase(config);
  const placement = readPlacement(config, path);
  const allowHostPorts = config.flag("allowHostPorts");
  const mappings = readMappings(config, placement);
  return { ...base, placement, mappings, isMesos: isOfMesos(written), allowHostPorts };
}

/**
 * What DEL needs. A config that ADD refused must not make a container that cannot be removed: without
 * a chain there is nothing to remove.
 *
 * @param path where to look for iptables first
 * @throws {CniError} invalidConfig, incompatibleVersion
 */
export function readForRemoval(
  written: JsonObject,
  path: string,
): Base & { placement?: Placement } {
  const config = new Fields(written, "", CNI_CODES.invalidConfig);
  const base = readBase(config);
  try {
    return { ...base, placement: readPlacement(config, path) };
  } catch (error) {
    log.warning("no rules were made by this config", { reason: messageOf(error) });
    return base;
  }
}

function readBase(config: Fields): Base {
  // A config without a version is of the time before there were any, as are stock Mesos agents.
  const cniVersion = config.get("cniVersion") || DEFAULT_VERSION;
  if (!isSpecVersion(cniVersion)) {
    throw new CniError(
      CNI_CODES.incompatibleVersion,
      `cniVersion ${quote(cniVersion)} is not supported; use one of ${SPEC_VERSIONS.join(", ")}`,
    );
  }
  const name = config.text("name") ?? "";
  if (!NETWORK_NAME.test(name)) {
    config.fail("name", "the network's name: letters, digits and _.-");
  }
  const prevResult = config.object("prevResult")?.value;
  return { cniVersion, name, delegate: readDelegate(config, name, cniVersion), prevResult };
}

function readPlacement(config: Fields, path: string): Placement {
  const backend = config.text("backend") ?? usualBackend(path);
  const devices = config.texts("excludeDevices");
  if (!devices.every(isDevice)) {
    config.fail(
      "excludeDevices",
      "names of devices: 1 to 15 letters, digits and _.@-, with + at the end for any rest",
    );
  }
  const chain = config.text("chain");
  return {
    backend: BACKENDS.find((one) => one === backend) ??
      config.fail("backend", BACKENDS.join(" or ")),
    chain: chain !== undefined && !chainProblem(chain) ? chain : config.fail(
      "chain",
      "the name of an iptables chain: 1 to 28 letters, digits and _.-, and none that iptables or " +
        "this program uses itself",
    ),
    excludeDevices: [...new Set(devices)],
    snat: config.flag("snat"),
  };
}

function readMappings(config: Fields, placement: Placement): Mapping[] {
  const found = new Map<string, Mapping>();
  try {
    // Mesos' own, which a framework chose: each is checked whole.
    const info = config.object("args")?.required("org.apache.mesos").required("network_info");
    const ofMesos = (info?.objects("port_mappings") ?? [])
      .map((one) => readMapping(one, "host_port", "container_port"));
    const asked = [...ofMesos, ...readRuntimeMappings(config)];
    for (const mapping of requireFew(asked)) {
      const port = describeMapping(mapping);
      const earlier = found.get(port);
      if (earlier && earlier.containerPort !== mapping.containerPort) {
        throw new Error(
          `host port ${port} is asked for twice: for container ports ${earlier.containerPort} ` +
            `and ${mapping.containerPort}`,
        );
      }
      if (
        mapping.hostAddress && isLoopback(mapping.hostAddress) && !isReachable(mapping, placement)
      ) {
        throw new Error(
          `host port ${port} is on the host's own loopback, which leads to a container only over ` +
            'IPv4 and with "snat": true in the network\'s config',
        );
      }
      found.set(port, mapping);
    }
  } catch (error) {
    throw new CniError(CNI_CODES.badArgument, messageOf(error), undefined, { cause: error });
  }
  return [...found.values()];
}

function isReachable({ hostAddress }: Mapping, { snat }: Placement): boolean {
  return snat && hostAddress !== "::1";
}

function readDelegate(config: Fields, name: string, outerVersion: SpecVersion): Base["delegate"] {
  const delegate = config.object("delegate");
  if (!delegate) return undefined;
  const type = delegate.text("type") ?? "";
  if (!isPluginType(type)) delegate.fail("type", "the file name of a plugin");
  // It would wait for the lock that it holds itself.
  if (typesIn(delegate.value).includes(String(config.get("type")))) {
    delegate.fail("type", "of other plugins than the port mapper itself, as that of its ipam");
  }
  const cniVersion = delegate.get("cniVersion") ?? outerVersion;
  if (!isSpecVersion(cniVersion)) {
    return delegate.fail("cniVersion", `one of ${SPEC_VERSIONS.join(", ")}`);
  }
  const args = config.get("args");
  return { ...delegate.value, type, cniVersion, name, ...args === undefined ? {} : { args } };
}

/** Whether the delegate's version has a command: CHECK since 0.4.0, GC and STATUS since 1.1.0. */
export function delegateKnows(config: Base, since: SpecVersion): boolean {
  return config.delegate !== undefined && atLeast(config.delegate.cniVersion, since);
}
