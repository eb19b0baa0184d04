/** Ends of wires on a network's bridge whose other end is in nobody's network. */
import { SystemError } from "../../kernel/libc.ts";
import { type Link, Netlink } from "../../netlink/mod.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/** An end of a wire, and the bridge that it is on. */
export interface BridgePort {
  link: Link;
  bridge: string;
}

/** The wires' ends, which {@link findVeths} wants from before it is known what lives. */
export function listPorts(bridges: ReadonlySet<string>): BridgePort[] {
  using netlink = Netlink.open();
  const links = netlink.links();
  const masters = new Map(
    links.filter((link) => bridges.has(link.name)).map((link) => [link.index, link.name]),
  );
  return links.flatMap((link) => {
    const bridge = link.kind === "veth" ? masters.get(link.master ?? 0) : undefined;
    return bridge === undefined ? [] : [{ link, bridge }];
  });
}

export function findVeths(ports: readonly BridgePort[], living: Living): Garbage[] {
  return ports
    .filter(({ link: { peerNamespaceId } }) =>
      peerNamespaceId !== undefined && !living.namespaceIds.has(peerNamespaceId)
    )
    .map(({ link, bridge }) => ({
      kind: "veth",
      what: `${link.name} on bridge ${bridge}`,
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
