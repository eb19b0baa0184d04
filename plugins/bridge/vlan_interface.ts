/** The gateway's interface in a VLAN of the bridge: the far end of a wire to a port with that VLAN. */
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { addVeth, setLink } from "../../lib/netlink/link_changes.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { randomVethName } from "../shared/veth.ts";
import { setUpPort } from "./port.ts";

/**
 * `BRIDGE.VLAN`, made if it is missing. It is up once its port has the VLAN: what an ADD that was
 * cut off has begun, the next one finishes.
 *
 * @throws {SystemError}
 */
export function ensureVlanInterface(
  host: Netlink,
  bridge: Link,
  vlan: number,
  preserveDefaultVlan: boolean,
): Link {
  const name = `${bridge.name}.${vlan}`;
  const existing = host.findLink(name);
  if (existing?.flags.includes("UP")) return existing;
  if (!existing) {
    const { mtu } = bridge;
    // The kernel numbers the peer first: as the reference's, the port comes before the interface.
    const wire = addVeth({ name, mtu }, { name: randomVethName(), mtu, txQueueLength: 0 });
    // Unless another ADD is faster.
    host.change({ ...wire, unless: "EEXIST" });
  }
  const made = host.link(name);
  const port = host.links().find(({ index }) => index === made.peerIndex);
  const isFree = port?.master === undefined && /^veth[0-9a-f]{8}$/.test(port?.name ?? "");
  if (port && (isFree || port.master === bridge.index)) {
    if (isFree) host.change(setLink(port.index, port.name, { master: bridge.index }));
    tryWriteSysctls([[`net/ipv6/conf/${port.name}/accept_ra`, "0"]]);
    const config = { hairpin: false, portIsolation: false, vlan, trunk: [], preserveDefaultVlan };
    setUpPort(host, bridge.name, port, config);
  }
  host.setLinkUp(name);
  return host.link(name);
}
