/** What the configured networks keep on this machine outside of containers. */
import type { JsonObject } from "../../base/json.ts";
import { pluginsIn } from "../../cni/config.ts";
import type { Registry, Traces as PluginTraces } from "../../cni/plugin_type.ts";
import type { Isolator } from "../isolator.ts";

export interface Traces {
  /** Names of bridges. */
  bridges: Set<string>;
  /** host-local's directories of addresses in use. */
  addressStores: Set<string>;
  /** Chains of port mappers in iptables. */
  chains: Set<string>;
}

/** The traces that all networks of the config directory may leave. */
export function tracesOf({ networks, registry }: Isolator): Traces {
  const traces: Traces = { bridges: new Set(), addressStores: new Set(), chains: new Set() };
  for (const name of networks.names()) {
    for (const { raw } of networks.read(name).network.plugins) {
      for (const left of tracesOfPlugin(registry, raw, name)) {
        if (left.bridge !== undefined) traces.bridges.add(left.bridge);
        if (left.addressStore !== undefined) traces.addressStores.add(left.addressStore);
        if (left.natChain !== undefined) traces.chains.add(left.natChain);
      }
    }
  }
  return traces;
}

/** What one plugin of a network, and those that it calls, may leave. */
export function tracesOfPlugin(
  registry: Registry,
  raw: JsonObject,
  network: string,
): PluginTraces[] {
  return pluginsIn(raw).map((plugin) =>
    registry.get(String(plugin.type))?.traces?.(plugin, network) ?? {}
  );
}
