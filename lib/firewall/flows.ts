/**
 * UDP flows through a mapping. A connection of TCP begins anew; a flow of UDP lives on in the
 * kernel's memory and keeps going where it went, past new rules and to dead containers.
 */
import { forgetUdpFlows } from "../linux/netfilter/conntrack.ts";
import { Netlink } from "../linux/netlink/mod.ts";
import { type Attachment, isLoopback, targets } from "./attachment.ts";

/** Makes flows to an attachment's host ports find their way anew. @throws {SystemError} */
export function forgetFlows(attachment: Partial<Attachment>): void {
  const { mappings = [], endpoints = [] } = attachment;
  if (!mappings.some(({ protocol }) => protocol === "udp") || endpoints.length === 0) return;
  using netlink = Netlink.open();
  const local = new Set(netlink.addresses().map(({ address }) => address));
  for (const family of [4, 6] as const) {
    const udp = targets(attachment as Attachment, family)
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
}
