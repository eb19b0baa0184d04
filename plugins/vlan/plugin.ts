/** vlan: one of the host's VLANs, as an interface (the reference's plugins/main/vlan). */
import type { Plugin } from "../../lib/cni/invocation.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { innerPlugin } from "../shared/inner_plugin.ts";
import { findMaster, makeStacked, readMtu } from "../shared/stacked_link.ts";
import { type Call, standardPlugin } from "../shared/standard_plugin.ts";
import { IFLA } from "../../lib/netlink/numbers.ts";

const LAST_VLAN = 4094;

export const vlan: Plugin = standardPlugin(innerPlugin({
  kind: "vlan",
  addresses: "optional",
  plan(call, host, container) {
    const id = readId(call);
    if (!call.config.text("master")) throw wrong("master is missing; it must be an interface");
    const master = findMaster(call, host, container);
    const mtu = readMtu(call, master);
    return (index) => makeStacked(call, index, container, master, { kind: "vlan", id }, { mtu });
  },
  verify(call, host, container) {
    findMaster(call, host, container);
    const wanted = readId(call);
    if (container.describeLink(call.ifName)?.data.u16(IFLA.VLAN_ID) !== wanted) {
      throw wrong(`${call.ifName} is not of VLAN ${wanted} any more`);
    }
  },
}));

function readId({ config }: Call): number {
  return config.integerFrom("vlanId", 0, LAST_VLAN) ?? 0;
}
