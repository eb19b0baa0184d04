/**
 * ipvlan: an interface that shares the hardware address of one of the host's (the reference's
 * plugins/main/ipvlan).
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import { IPVLAN_MODES } from "../../lib/netlink/link_changes.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { innerPlugin } from "../shared/inner_plugin.ts";
import { announced, findMaster, makeStacked, readMode } from "../shared/stacked_link.ts";
import { type LiveCall, requirePrevResult, standardPlugin } from "../shared/standard_plugin.ts";
import { IFLA } from "../../lib/netlink/numbers.ts";

export const ipvlan: Plugin = standardPlugin(innerPlugin({
  kind: "ipvlan",
  addresses: "or of the plugin before",
  settings: announced,
  plan(call, host, container) {
    const mode = readMode(call, IPVLAN_MODES, "l2");
    const master = findMaster(call, host, container, masterBefore(call));
    const mtu = Math.max(0, call.config.integer("mtu") ?? 0) || undefined;
    return (index) =>
      makeStacked(call, index, container, master, { kind: "ipvlan", mode }, { mtu });
  },
  verify(call, host, container) {
    const name = call.config.text("master");
    if (name) findMaster(call, host, container, name);
    const wanted = readMode(call, IPVLAN_MODES, "l2");
    const mode = container.describeLink(call.ifName)?.data.u16(IFLA.IPVLAN_MODE);
    if (mode !== IPVLAN_MODES[wanted]) {
      throw wrong(`the mode of ${call.ifName} is not ${wanted} any more`);
    }
  },
}));

/** In a list without `master`, the interface that the plugin before made. */
function masterBefore(call: LiveCall): string | undefined {
  const { config } = call;
  if (config.text("master") || !config.has("prevResult")) return undefined;
  const { interfaces } = requirePrevResult(call);
  if (interfaces.length === 1) return interfaces[0]!.name;
  throw wrong("master is missing, and prevResult does not have just one interface to be it");
}
