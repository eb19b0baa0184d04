/** The types of plugins: the one place where their names are written. */
import type { JsonObject } from "../lib/base/json.ts";
import type { PluginType, Registry } from "../lib/cni/plugin_type.ts";
import { SINCE } from "./shared/since.ts";

const text = (value: unknown, otherwise: string) => typeof value === "string" ? value : otherwise;

const masquerade = () => import("./shared/masquerade.ts");
const passage = () => import("./firewall/plugin.ts");
const bridgeRules = () => import("./bridge/restore.ts");

const TYPES: readonly PluginType[] = [
  {
    type: "mesos-cni-port-mapper",
    kind: "meta",
    load: async () => (await import("./port_mapper/plugin.ts")).portMapper,
    mapsPorts: "mesos",
    traces: ({ chain }: JsonObject) => typeof chain === "string" ? { natChain: chain } : {},
  },
  {
    type: "portmap",
    kind: "meta",
    standard: true,
    load: async () => (await import("./portmap/plugin.ts")).portmap,
    mapsPorts: "capability",
    traces: () => ({ natChain: "MESOS-CNI-PORTMAP" }),
  },
  {
    type: "loopback",
    kind: "main",
    standard: true,
    load: async () => (await import("./loopback/plugin.ts")).loopback,
  },
  {
    type: "bridge",
    kind: "main",
    standard: true,
    load: async () => (await import("./bridge/plugin.ts")).bridge,
    traces: ({ bridge }) => ({ bridge: text(bridge, "cni0") }),
    repair: async (...call) => await (await bridgeRules()).restoreRules(...call),
    missing: async (...call) => await (await bridgeRules()).missingRules(...call),
  },
  {
    type: "ptp",
    kind: "main",
    standard: true,
    load: async () => (await import("./ptp/plugin.ts")).ptp,
    repair: async (...call) => await (await masquerade()).restoreMasquerade(...call),
    missing: async (...call) => await (await masquerade()).missingMasquerade(...call),
  },
  {
    type: "macvlan",
    kind: "main",
    standard: true,
    load: async () => (await import("./macvlan/plugin.ts")).macvlan,
  },
  {
    type: "ipvlan",
    kind: "main",
    standard: true,
    load: async () => (await import("./ipvlan/plugin.ts")).ipvlan,
  },
  {
    type: "vlan",
    kind: "main",
    standard: true,
    load: async () => (await import("./vlan/plugin.ts")).vlan,
  },
  {
    type: "dummy",
    kind: "main",
    standard: true,
    load: async () => (await import("./dummy/plugin.ts")).dummy,
  },
  {
    type: "firewall",
    kind: "meta",
    standard: true,
    since: SINCE.firewall,
    load: async () => (await passage()).firewall,
    repair: async (...call) => await (await passage()).restorePassage(...call),
    missing: async (...call) => await (await passage()).missingPassage(...call),
  },
  {
    type: "tuning",
    kind: "meta",
    standard: true,
    load: async () => (await import("./tuning/plugin.ts")).tuning,
  },
  {
    type: "bandwidth",
    kind: "meta",
    standard: true,
    since: SINCE.bandwidth,
    load: async () => (await import("./bandwidth/plugin.ts")).bandwidth,
  },
  {
    type: "host-device",
    kind: "main",
    standard: true,
    load: async () => (await import("./host_device/plugin.ts")).hostDevice,
  },
  {
    type: "sbr",
    kind: "meta",
    standard: true,
    load: async () => (await import("./sbr/plugin.ts")).sbr,
  },
  {
    type: "vrf",
    kind: "meta",
    standard: true,
    since: SINCE.vrf,
    load: async () => (await import("./vrf/plugin.ts")).vrf,
  },
  {
    type: "static",
    kind: "ipam",
    standard: true,
    load: async () => (await import("./static/plugin.ts")).staticAddresses,
  },
  {
    type: "host-local",
    kind: "ipam",
    standard: true,
    load: async () => (await import("./host_local/plugin.ts")).hostLocal,
    traces: ({ dataDir }, network) => ({
      addressStore: `${text(dataDir, "/var/lib/cni/networks")}/${network}`,
    }),
  },
];

export const REGISTRY: Registry = new Map(TYPES.map((type) => [type.type, type]));
