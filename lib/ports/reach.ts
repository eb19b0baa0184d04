/** What the host itself must allow for `snat`, besides rules. */
import { writeProcFile } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { setHairpin } from "../netlink/bridge_port.ts";
import { type Link, Netlink } from "../netlink/mod.ts";
import type { Record } from "./state.ts";

const ENODEV = 19;

/**
 * Lets packets from 127.0.0.1 out by the interface that leads to a container (the rules that go
 * with it keep others from sending to 127.0.0.0/8 by the same interface), and lets a bridge send
 * a container's own packets back to it: where bridges call iptables, it must be told to.
 *
 * @throws {SystemError}
 */
export function openWays({ endpoints, netns, ifName }: Record): void {
  using netlink = Netlink.open();
  const links = netlink.links();
  const endpoint = endpoints.find(({ family }) => family === 4);
  if (endpoint) {
    const route = netlink.routeTo(endpoint.address);
    const name = links.find(({ index }) => index === route.link)?.name;
    if (name) writeProcFile(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, "1");
  }
  const inside = linkOf(netns, ifName);
  const port = inside?.kind === "veth"
    ? links.find(({ index, kind }) => index === inside.peerIndex && kind === "veth")
    : undefined;
  if (port?.master !== undefined && isBridge(links, port.master)) setHairpin(port.index);
}

function isBridge(links: readonly Link[], wanted: number): boolean {
  return links.some(({ index, kind }) => index === wanted && kind === "bridge");
}

/** The container's interface, if it has one of that name. */
function linkOf(netns: string, name: string): Link | undefined {
  if (!isNamespaceHandle(netns)) return undefined;
  try {
    using netlink = Netlink.open(netns);
    return netlink.link(name);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENODEV) return undefined;
    throw error;
  }
}
