/** The gateway's interface in a VLAN of the bridge: the far end of a wire to a port with that VLAN. */
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { addVeth } from "../../lib/netlink/link_changes.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { randomVethName } from "../shared/veth.ts";
import { setUpPort } from "./port.ts";

/** `BRIDGE.VLAN`, made if it is missing. @throws {SystemError} */
export function ensureVlanInterface(
  host: Netlink,
  bridge: Link,
  vlan: number,
  preserveDefaultVlan: boolean,
): Link {
  const name = `${bridge.name}.${vlan}`;
  const existing = host.findLink(name);
  if (existing) return existing;
  const port = randomVethName();
  const { mtu } = bridge;
  try {
    host.change(
      addVeth({ name: port, mtu, master: bridge.index, up: true, txQueueLength: 0 }, {
        name,
        mtu,
        up: true,
      }),
    );
  } catch (error) {
    // Another ADD was faster.
    if (error instanceof SystemError && error.errnoName === "EEXIST") return host.link(name);
    throw error;
  }
  tryWriteSysctls([[`net/ipv6/conf/${port}/accept_ra`, "0"]]);
  setUpPort(host, bridge.name, host.link(port), {
    hairpin: false,
    portIsolation: false,
    vlan,
    trunk: [],
    preserveDefaultVlan,
  });
  return host.link(name);
}
