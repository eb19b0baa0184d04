/** The wire's host end as a port of the bridge: its flags and VLANs. */
import { addPortVlan, deletePortVlan, setPort } from "../../lib/netlink/bridge_port.ts";
import { setLink } from "../../lib/netlink/link_changes.ts";
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import type { BridgeConfig } from "./config.ts";
import { IFLA } from "../../lib/netlink/numbers.ts";

type PortConfig = Pick<
  BridgeConfig,
  "hairpin" | "portIsolation" | "vlan" | "trunk" | "preserveDefaultVlan"
>;

/**
 * Sets a port's flags and VLANs, and brings it up.
 *
 * A port has no use for IPv6 of its own: what it gets is the bridge's. With an address on each port,
 * the kernel would go through the routes of all ports at every change of one.
 *
 * @throws {SystemError}
 */
export function setUpPort(host: Netlink, bridge: string, port: Link, config: PortConfig): void {
  tryWriteSysctls([[`net/ipv6/conf/${port.name}/disable_ipv6`, "1"]]);
  const { hairpin, portIsolation, vlan, trunk, preserveDefaultVlan } = config;
  const changes = [setPort(port.index, { hairpin, isolated: portIsolation })];
  if (vlan !== undefined || trunk.length > 0) {
    const first = preserveDefaultVlan ? undefined : defaultVlan(host, bridge);
    if (first) changes.push(deletePortVlan(port.index, first));
    if (vlan !== undefined) changes.push(addPortVlan(port.index, vlan, true));
    for (const id of trunk) changes.push(addPortVlan(port.index, id, false));
    // A trunk alone has VLAN 1 as its untagged one, as it always had.
    if (vlan === undefined) changes.push(addPortVlan(port.index, 1, true));
  }
  host.changeAll([...changes, setLink(port.index, port.name, { up: true })]);
}

/** The VLAN that a bridge gives every new port; 0: none. */
function defaultVlan(host: Netlink, bridge: string): number {
  return host.describeLink(bridge)?.data.u16(IFLA.BR_VLAN_DEFAULT_PVID) ?? 0;
}
