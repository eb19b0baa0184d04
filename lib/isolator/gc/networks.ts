/** What the configured networks keep on this machine outside of containers. */
import { isObject, type JsonObject } from "../../cni/json.ts";
import type { Isolator } from "../isolator.ts";

export interface Traces {
  /** Names of bridges. */
  bridges: Set<string>;
  /** host-local's directories of addresses in use. */
  addressStores: Set<string>;
  /** Chains of port mappers in iptables. */
  chains: Set<string>;
}

/** Where the plugins keep things by default (containernetworking/plugins). */
const DEFAULT_BRIDGE = "cni0";
const DEFAULT_STORE = "/var/lib/cni/networks";

/** The traces that all networks of the config directory may leave. */
export function tracesOf({ networks }: Isolator): Traces {
  const traces: Traces = { bridges: new Set(), addressStores: new Set(), chains: new Set() };
  for (const name of networks.names()) {
    for (const { raw } of networks.read(name).network.plugins) {
      for (const plugin of withDelegates(raw)) collect(name, plugin, traces);
    }
  }
  return traces;
}

function withDelegates(plugin: JsonObject): JsonObject[] {
  const { delegate } = plugin;
  return isObject(delegate) ? [plugin, ...withDelegates(delegate)] : [plugin];
}

function collect(network: string, plugin: JsonObject, traces: Traces): void {
  const text = (value: unknown, otherwise: string) => typeof value === "string" ? value : otherwise;
  const { type, ipam, chain } = plugin;
  if (type === "bridge") traces.bridges.add(text(plugin.bridge, DEFAULT_BRIDGE));
  if (type === "mesos-cni-port-mapper" && typeof chain === "string") traces.chains.add(chain);
  if (isObject(ipam) && ipam.type === "host-local") {
    traces.addressStores.add(`${text(ipam.dataDir, DEFAULT_STORE)}/${network}`);
  }
}
