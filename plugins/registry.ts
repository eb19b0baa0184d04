/** The types of plugins: the one place where their names are written. */
import type { JsonObject } from "../lib/base/json.ts";
import type { PluginType, Registry } from "../lib/cni/plugin_type.ts";

const text = (value: unknown, otherwise: string) => typeof value === "string" ? value : otherwise;

const TYPES: readonly PluginType[] = [
  {
    type: "mesos-cni-port-mapper",
    kind: "meta",
    load: async () => (await import("./port_mapper/plugin.ts")).portMapper,
    mapsPorts: "mesos",
    traces: ({ chain }: JsonObject) => typeof chain === "string" ? { natChain: chain } : {},
  },
  { type: "portmap", kind: "meta", mapsPorts: "capability" },
  {
    type: "bridge",
    kind: "main",
    traces: ({ bridge }) => ({ bridge: text(bridge, "cni0") }),
  },
  {
    type: "host-local",
    kind: "ipam",
    traces: ({ dataDir }, network) => ({
      addressStore: `${text(dataDir, "/var/lib/cni/networks")}/${network}`,
    }),
  },
];

export const REGISTRY: Registry = new Map(TYPES.map((type) => [type.type, type]));
