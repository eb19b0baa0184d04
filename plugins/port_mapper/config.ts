/** The port mapper's config, read once into values that can hold nothing bad. */
import { isPluginType } from "../../lib/cni/config.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { isObject, type JsonObject } from "../../lib/base/json.ts";
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
  describeMapping,
  type Mapping,
  parseChain,
  parseDevice,
  type Placement,
} from "../../lib/ports/mapping.ts";
import { quote } from "../../lib/base/json.ts";
import { isLoopback } from "../../lib/base/ip.ts";
import { Fields } from "../shared/fields.ts";
import { readRuntimeMappings, requireFew } from "../shared/port_mappings.ts";
import { withNames } from "./fields.ts";
import { isMesosCaller, readPortMappings } from "./mesos_port_mappings.ts";

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

/** What this plugin reads of its config, which a Go program may have written in another case. */
const NAMES = [
  ...["cniVersion", "name", "type", "chain", "backend", "excludeDevices", "snat", "delegate"],
  ...["allowHostPorts", "args", "runtimeConfig", "prevResult"],
];

const NETWORK_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

/**
 * The version that the caller wants its answer in.
 *
 * @throws {CniError} incompatibleVersion
 */
export function readVersion(config: JsonObject): SpecVersion {
  // A config without one is of the time before there were versions, as are stock Mesos agents.
  const { cniVersion = DEFAULT_VERSION } = config;
  if (isSpecVersion(cniVersion)) return cniVersion;
  if (cniVersion === "") return DEFAULT_VERSION;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    `cniVersion ${quote(cniVersion)} is not supported; use one of ${SPEC_VERSIONS.join(", ")}`,
  );
}

/**
 * @param path where to look for iptables first
 * @throws {CniError} invalidConfig for what the operator wrote, badArgument for what a framework
 *   asks, incompatibleVersion
 */
export function readConfig(written: JsonObject, path: string): Config {
  const config = withNames(written, NAMES);
  const base = readBase(config);
  const placement = readPlacement(config, path);
  const { allowHostPorts = false } = config;
  if (typeof allowHostPorts !== "boolean") {
    throw invalid("allowHostPorts", "true or false", allowHostPorts);
  }
  const isMesos = isMesosCaller(config.args);
  return { ...base, placement, mappings: readMappings(config, placement), isMesos, allowHostPorts };
}

/**
 * What DEL needs. A config that ADD refused must not make a container that cannot be removed: its
 * mappings are not looked at, and without a chain there is nothing to remove.
 *
 * @param path where to look for iptables first
 * @throws {CniError} invalidConfig, incompatibleVersion
 */
export function readForRemoval(
  written: JsonObject,
  path: string,
): Base & { placement?: Placement } {
  const config = withNames(written, NAMES);
  const base = readBase(config);
  try {
    return { ...base, placement: readPlacement(config, path) };
  } catch (error) {
    log.warning("no rules were made by this config", { reason: messageOf(error) });
    return base;
  }
}

function readBase(config: JsonObject): Base {
  const cniVersion = readVersion(config);
  const { name, prevResult } = config;
  if (typeof name !== "string" || !NETWORK_NAME.test(name)) {
    throw invalid("name", "the network's name: letters, digits and _.-", name);
  }
  if (prevResult !== undefined && !isObject(prevResult)) {
    throw invalid("prevResult", "a result", prevResult);
  }
  const delegate = config.delegate === undefined ? undefined : readDelegate(config, cniVersion);
  return { cniVersion, name, delegate, prevResult };
}

function readPlacement(config: JsonObject, path: string): Placement {
  const { backend = usualBackend(path), excludeDevices = [], snat = false } = config;
  const known = BACKENDS.find((one) => one === backend);
  if (!known) throw invalid("backend", BACKENDS.join(" or "), backend);
  if (typeof snat !== "boolean") throw invalid("snat", "true or false", snat);
  if (!Array.isArray(excludeDevices)) throw invalid("excludeDevices", "a list", excludeDevices);
  return {
    backend: known,
    chain: at("chain", () => parseChain(config.chain)),
    excludeDevices: [
      ...new Set(
        excludeDevices.map((device, i) => at(`excludeDevices[${i}]`, () => parseDevice(device))),
      ),
    ],
    snat,
  };
}

function readMappings(config: JsonObject, placement: Placement): Mapping[] {
  const found = new Map<string, Mapping>();
  try {
    const asked = [...readPortMappings(config.args), ...readRuntimeMappings(new Fields(config))];
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

function readDelegate(config: JsonObject, outerVersion: SpecVersion): Base["delegate"] {
  const { delegate, name, args } = config;
  if (!isObject(delegate)) throw invalid("delegate", "a plugin's config", delegate);
  const { type, cniVersion = outerVersion } = delegate;
  if (typeof type !== "string" || !isPluginType(type)) {
    throw invalid("delegate.type", "the file name of a plugin", type);
  }
  if (!isSpecVersion(cniVersion)) {
    throw invalid("delegate.cniVersion", `one of ${SPEC_VERSIONS.join(", ")}`, cniVersion);
  }
  return {
    ...delegate,
    type,
    cniVersion,
    name: name!,
    ...(args === undefined ? {} : { args }),
  };
}

/** Whether the delegate's version has a command: CHECK since 0.4.0, GC and STATUS since 1.1.0. */
export function delegateKnows(config: Base, since: SpecVersion): boolean {
  return config.delegate !== undefined && atLeast(config.delegate.cniVersion, since);
}

function at<T>(place: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new CniError(CNI_CODES.invalidConfig, `${place}: ${messageOf(error)}`, undefined, {
      cause: error,
    });
  }
}

function invalid(place: string, wanted: string, found: unknown): CniError {
  const state = found === undefined ? "is missing" : `is ${quote(found)}`;
  return new CniError(CNI_CODES.invalidConfig, `${place} ${state}; it must be ${wanted}`);
}
