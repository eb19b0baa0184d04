/**
 * UDP flows through a mapping. A connection of TCP begins anew; a flow of UDP lives on in the
 * kernel's memory and keeps going where it went, past new rules and to dead containers.
 */
import { SystemError } from "../kernel/libc.ts";
import { type Flow, flowsTo, forgetAllTo, forgetFlows as forget } from "../nft/conntrack.ts";
import { Netlink } from "../netlink/mod.ts";
import { log } from "../base/log.ts";
import { type PortAttachment, targets } from "./mapping.ts";
import { isLoopback } from "../base/ip.ts";

/** From so many on, flows are forgotten by where they go: somebody has flooded a port. */
const MANY = 1000;
/** To so many places: for each, the kernel goes through all its flows. */
const MOST_PLACES = 8;

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
    const all = targets(attachment as PortAttachment)
      .filter(({ mapping }) => mapping.protocol === "udp");
    for (const [family, udp] of Map.groupBy(all, ({ endpoint }) => endpoint.family)) {
      const ports = udp.map(({ mapping }) => mapping.hostPort);
      // Flows through this host to the same port elsewhere are none of ours.
      const isMapped = ({ destination, port }: Flow) =>
        udp.some(({ mapping: { hostPort }, hostAddress }) =>
          hostPort === port &&
          (hostAddress === undefined
            ? local.has(destination) || isLoopback(destination)
            : destination === hostAddress)
        );
      let flows = flowsTo(family, "udp", ports, MANY);
      if (flows.length === MANY) {
        const places = flows.filter(isMapped).map((flow) =>
          [`${flow.destination} ${flow.port}`, flow] as const
        );
        for (const flow of [...new Map(places).values()].slice(0, MOST_PLACES)) {
          forgetAllTo(family, "udp", flow);
        }
        flows = flowsTo(family, "udp", ports);
      }
      forget(family, flows.filter(isMapped));
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const what = "flows of UDP that are under way may go on to where they went";
    log.warning(what, { container, error: error.message });
  }
}
