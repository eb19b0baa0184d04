/** Packets of 127.0.0.0/8 on their way to a container, which the kernel drops unless told. */
import { writeProcFile } from "../linux/files.ts";
import { Netlink } from "../linux/netlink/mod.ts";
import type { Endpoint } from "./attachment.ts";

/**
 * Lets packets from 127.0.0.1 out by the interface that leads to a container. The rules that go
 * with it keep others from sending to 127.0.0.0/8 by the same interface.
 *
 * @throws {SystemError}
 */
export function routeLoopback(endpoints: readonly Endpoint[]): void {
  const endpoint = endpoints.find(({ family }) => family === 4);
  if (!endpoint) return;
  using netlink = Netlink.open();
  const route = netlink.routeTo(endpoint.address);
  const link = netlink.links().find(({ index }) => index === route.link);
  if (link) writeProcFile(`/proc/sys/net/ipv4/conf/${link.name}/route_localnet`, "1");
}
