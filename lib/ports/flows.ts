/**
 * UDP flows through a mapping. A connection of TCP begins anew; a flow of UDP lives on in the
 * kernel's memory and keeps going where it went, past new rules and to dead containers.
 */
import { SystemError } from "../kernel/libc.ts";
import { forgetUdpFlows } from "../nft/conntrack.ts";
import { Netlink } from "../netlink/mod.ts";
import { log } from "../base/log.ts";
import { type PortAttachment, targets } from "./mapping.ts";
import { FAMILIES, isLoopback } from "../base/ip.ts";

/**
 * Makes flows to an attachment's host ports find their way anew. Where the kernel does not let
 * its table be changed, the mapping is worth more than that: it is said, and goes on.
 */
export function forgetFlows(attachment: Partial<PortAttachment>): void {
  const { mappings = [], endpoints = [], containerId: container } = attachment;
  if (!mappings.some(({ protocol }) => protocol === "udp") || endpoints.length === 0) return;
  try {
    using netlink = Netlink.open();
    const local = new Set(netlink.addresses().map(({ address }) => address));
    for (const family of FAMILIES) {
      const udp = targets(attachment as PortAttachment, family)
        .filter(({ mapping }) => mapping.protocol === "udp");
      // Flows through this host to the same port elsewhere are none of ours.
      const isMapped = (destination: string, port: number) =>
        udp.some(({ mapping: { hostPort }, hostAddress }) =>
          hostPort === port &&
          (hostAddress === undefined
            ? local.has(destination) || isLoopback(destination)
            : destination === hostAddress)
        );
      forgetUdpFlows(family, udp.map(({ mapping }) => mapping.hostPort), isMapped);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const what = "flows of UDP that are under way may go on to where they went";
    log.warning(what, { container, error: error.message });
  }
}
