/** Ends of wires on a network's bridge whose other end is in nobody's network. */
import { SystemError } from "../../linux/libc.ts";
import { Netlink } from "../../linux/netlink/mod.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

export function findVeths(bridges: ReadonlySet<string>, living: Living): Garbage[] {
  using netlink = Netlink.open();
  const links = netlink.links();
  const masters = new Map(
    links.filter((link) => bridges.has(link.name)).map((link) => [link.index, link.name]),
  );
  return links
    .filter((link) => link.kind === "veth" && masters.has(link.master ?? 0))
    .filter(({ peerNamespaceId }) =>
      peerNamespaceId !== undefined && !living.namespaceIds.has(peerNamespaceId)
    )
    .map((link) => ({
      kind: "veth",
      what: `${link.name} on bridge ${masters.get(link.master!)}`,
      why: "no process and no handle is left of the network at its other end",
      remove: () => Promise.resolve(removeLink(link.index, link.name)),
    }));
}

function removeLink(index: number, name: string): void {
  using netlink = Netlink.open();
  try {
    netlink.removeLink(index, name);
  } catch (error) {
    // It went with the network at its other end.
    if (!(error instanceof SystemError && error.errnoName === "ENODEV")) throw error;
  }
}
