/** The plugins inside, by type: what kind each is, how it is loaded, and what it leaves behind. */
import type { JsonObject } from "../lib/base/json.ts";
import { DATA_DIR, type PluginType, type Registry } from "../lib/cni/plugin_type.ts";
import { SINCE } from "./shared/since.ts";

const text = (value: unknown, otherwise: string) => typeof value === "string" ? value : otherwise;

/** Who looks at a thousand containers asks for a module as often, and the runtime looks for it each time. */
function once<M>(load: () => Promise<M>): () => Promise<M> {
  let loaded: Promise<M> | undefined;
  return () => loaded ??= load();
}

const masquerade = once(() => import("./shared/masquerade.ts"));
const passage = once(() => import("./firewall/plugin.ts"));
const bridgeRules = once(() => import("./bridge/restore.ts"));

/** One of containernetworking/plugins. */
function standard(
  kind: PluginType["kind"],
  type: string,
  load: PluginType["load"],
  more: Partial<PluginType> = {},
): PluginType {
  return { type, kind, standard: true, load, ...more };
}

const TYPES: readonly PluginType[] = [
  {
    type: "mesos-cni-port-mapper",
    kind: "meta",
    load: async () => (await import("./port_mapper/plugin.ts")).portMapper,
    mapsPorts: "mesos",
    traces: ({ chain }: JsonObject) => typeof chain === "string" ? { natChain: chain } : {},
  },
  standard("meta", "portmap", async () => (await import("./portmap/plugin.ts")).portmap, {
    mapsPorts: "capability",
    traces: () => ({ natChain: "MESOS-CNI-PORTMAP" }),
  }),
  standard("main", "loopback", async () => (await import("./loopback/plugin.ts")).loopback),
  standard("main", "bridge", async () => (await import("./bridge/plugin.ts")).bridge, {
    traces: ({ bridge }) => ({ bridge: text(bridge, "cni0") }),
    repair: async (...call) => await (await bridgeRules()).restoreRules(...call),
    missing: async (...call) => await (await bridgeRules()).missingRules(...call),
  }),
  standard("main", "ptp", async () => (await import("./ptp/plugin.ts")).ptp, {
    repair: async (...[config, one]) => await (await masquerade()).restoreMasquerade(config, one),
    missing: async (...call) => await (await masquerade()).missingMasquerade(...call),
  }),
  standard("main", "macvlan", async () => (await import("./macvlan/plugin.ts")).macvlan),
  standard("main", "ipvlan", async () => (await import("./ipvlan/plugin.ts")).ipvlan),
  standard("main", "vlan", async () => (await import("./vlan/plugin.ts")).vlan),
  standard("main", "dummy", async () => (await import("./dummy/plugin.ts")).dummy),
  standard("meta", "firewall", async () => (await passage()).firewall, {
    since: SINCE.firewall,
    repair: async (...[config, one]) => await (await passage()).restorePassage(config, one),
    missing: async (...call) => await (await passage()).missingPassage(...call),
  }),
  standard("meta", "tuning", async () => (await import("./tuning/plugin.ts")).tuning),
  standard("meta", "bandwidth", async () => (await import("./bandwidth/plugin.ts")).bandwidth, {
    since: SINCE.bandwidth,
  }),
  standard("main", "host-device", async () => (await import("./host_device/plugin.ts")).hostDevice),
  standard("meta", "sbr", async () => (await import("./sbr/plugin.ts")).sbr),
  standard("meta", "vrf", async () => (await import("./vrf/plugin.ts")).vrf, { since: SINCE.vrf }),
  standard("ipam", "static", async () => (await import("./static/plugin.ts")).staticAddresses),
  standard("ipam", "host-local", async () => (await import("./host_local/plugin.ts")).hostLocal, {
    traces: ({ dataDir }, network) => ({
      addressStore: `${text(dataDir, DATA_DIR)}/${network}`,
    }),
  }),
];

export const REGISTRY: Registry = new Map(TYPES.map((type) => [type.type, type]));
