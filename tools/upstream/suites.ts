/** The reference's suites: a package of its module for each plugin, and one that uses cnitool. */

export const PLUGINS = [
  ...["bridge", "ptp", "macvlan", "ipvlan", "vlan", "loopback", "host-device", "dummy"]
    .map((type) => `main/${type}`),
  ...["host-local", "static"].map((type) => `ipam/${type}`),
  ...["portmap", "firewall", "tuning", "bandwidth", "sbr", "vrf"].map((type) => `meta/${type}`),
];

const INTEGRATION = "integration";
export const SUITES = [...PLUGINS.map((plugin) => plugin.split("/")[1]!), INTEGRATION];

/** Kinds of interfaces that a kernel may lack, and Debian's has. */
export const NEEDS_MACHINE = ["ipvlan", "vlan", "dummy", "vrf"];

/** Where a suite's package is, below the module's directory. */
export function directoryOf(suite: string): string {
  const plugin = PLUGINS.find((one) => one.endsWith(`/${suite}`));
  return plugin === undefined ? suite : `plugins/${plugin}`;
}
