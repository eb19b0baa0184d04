/**
 * Which device a container was given, as the host knows it. A container may rename its interfaces and give them any
 * alias: what it says of them is no proof.
 */
import { log } from "../../lib/base/log.ts";
import type { Owner } from "../../lib/firewall/owner.ts";
import { Records } from "../../lib/firewall/records.ts";
import { type AttachedNetwork, networkNow } from "../../lib/netlink/attached_network.ts";
import type { Link, LinkDescription, Netlink } from "../../lib/netlink/mod.ts";
import type { LiveCall } from "../shared/standard_plugin.ts";

interface Given extends Owner {
  /** Its name and hardware address on the host. */
  device: string;
  mac?: string | undefined;
  /** Its index in the container. */
  index: number;
  /** As of a link; absent for hardware, which no container can make. */
  kind?: string | undefined;
  permanentMac?: string | undefined;
  /** The network that it was given to. */
  attached: AttachedNetwork;
}

export const given = new Records<Given>(
  "/run/mesos-cni/host-device",
  ({ device, index, attached }) =>
    typeof device === "string" && typeof index === "number" && attached !== undefined,
  (file) => log.warning("a damaged record of the host-device plugin is ignored", { file }),
);

export function remember(
  { containerId, network, ifName, netns }: LiveCall,
  { name: device, mac }: Link,
  { link: { index, kind }, permanentMac }: LinkDescription,
): void {
  const found = { device, mac, index, kind, permanentMac };
  given.write({ containerId, network, ifName, ...found, attached: networkNow(netns) });
}

/** The device in its container's network, whatever it is called there. */
export function findGiven(container: Netlink, record: Given): Link | undefined {
  const isDevice = ({ index, name }: Link) => {
    const found = container.describeLink(name);
    if (found?.link.kind !== record.kind || found?.permanentMac !== record.permanentMac) {
      return false;
    }
    const isHardware = record.kind === undefined && record.permanentMac !== undefined;
    return isHardware || index === record.index;
  };
  return container.links().find(isDevice);
}
