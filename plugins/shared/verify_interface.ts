/** CHECK: whether an interface is still as the result of ADD says (the reference's pkg/ip). */
import type { Interface, Result } from "../../lib/cni/result.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { prefixOf, withoutLength } from "./addresses.ts";
import { showNetwork } from "../../lib/base/prefix.ts";
import { tableNumber } from "../../lib/netlink/names.ts";
import { RT_TABLE_MAIN } from "../../lib/netlink/route_changes.ts";
import { wrong } from "../../lib/cni/fields.ts";
import type { LiveCall } from "./standard_plugin.ts";

/** The container's interface in the result of ADD. @throws {CniError} if it is not of this call */
export function containerInterface({ ifName, netns }: LiveCall, result: Result): Interface {
  const found = result.interfaces.findLast(({ name, sandbox }) =>
    name === ifName && sandbox === netns
  );
  if (found) return found;
  throw wrong(`prevResult has no interface ${ifName} in ${netns}`);
}

/** @throws {CniError} if it is not there, or another one by its kind or hardware address */
export function verifyLink(container: Netlink, made: Interface, kind: string): Link {
  const link = container.findLink(made.name);
  if (!link) throw wrong(`the container has no interface ${made.name} any more`);
  if (link.kind !== kind) {
    throw wrong(`the container's ${made.name} is a ${link.kind ?? "device"}, and was a ${kind}`);
  }
  verifyMac(link, made);
  return link;
}

/** @throws {CniError} */
export function verifyMac(link: Link, made: Interface): void {
  if (made.mac === undefined || made.mac === link.mac) return;
  throw wrong(`the hardware address of ${made.name} is ${link.mac}, and was ${made.mac} at ADD`);
}

/** @throws {CniError} naming the first address or route that is missing */
export function verifyAddressing(container: Netlink, ifName: string, result: Result): void {
  const link = container.link(ifName);
  const addresses = container.addressesOf(link.index);
  const all = container.routes();
  const routes = all.filter(({ table }) => table === "main");
  for (const { address } of result.ips) {
    const prefix = prefixOf(address);
    const has = addresses.some((one) =>
      one.address === withoutLength(address) && one.prefixLength === prefix.length
    );
    if (!has) throw wrong(`${ifName} has lost its address ${address}`);
    if (!routes.some(({ destination }) => destination === showNetwork(prefix))) {
      throw wrong(`the container has lost the route to its network, ${showNetwork(prefix)}`);
    }
  }
  for (const { dst, gw, table } of result.routes) {
    const prefix = prefixOf(dst);
    const destination = prefix.length === 0 ? "default" : showNetwork(prefix);
    const has = all.some((route) =>
      tableNumber(route.table) === (table || RT_TABLE_MAIN) &&
      route.destination === destination &&
      (route.family === "inet6") === (prefix.family === 6) &&
      (gw === undefined || prefix.length === 0 || route.gateway === gw)
    );
    if (!has) throw wrong(`the container has lost the route to ${dst}${gw ? ` via ${gw}` : ""}`);
  }
}
