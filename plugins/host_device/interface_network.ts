/**
 * `useInterfaceNetwork`: the addresses, routes and rules that a device has on the host go with it,
 * since the kernel drops them when it moves.
 */
import { contains, parseAddress, parsePrefix } from "../../lib/base/prefix.ts";
import type { IpConfig, Route as ResultRoute } from "../../lib/cni/result.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import type { Change, Link, Netlink, Route } from "../../lib/netlink/mod.ts";
import { moveRoute } from "../../lib/netlink/route_changes.ts";
import { copyRule } from "../../lib/netlink/rule_changes.ts";
import { scopeNumber, tableNumber } from "../../lib/netlink/names.ts";
import { interfaceAddress } from "../shared/addresses.ts";

export interface InterfaceNetwork {
  ips: IpConfig[];
  routes: ResultRoute[];
  /** What gives all of it to an interface, in the order in which the kernel takes it. */
  changes(link: Link): Change[];
}

export const NO_NETWORK: InterfaceNetwork = { ips: [], routes: [], changes: () => [] };

/** @throws {SystemError} */
export function networkOfDevice(host: Netlink, { index }: Link): InterfaceNetwork {
  // An address that was learnt from a router is learnt anew in the container.
  const addresses = host.addressesOf(index).filter(({ scope, family, flags }) =>
    scope === "global" && (family === "inet" || flags.includes("permanent"))
  );
  const routes = host.listedRoutesOf(index).filter(({ route }) => isAsked(route))
    // A gateway is reached by a route of narrower scope.
    .sort((a, b) => scopeNumber(b.route.scope) - scopeNumber(a.route.scope));
  const tables = new Set(routes.map(({ route }) => route.table));
  const rules = host.listedRules().filter(({ rule: { from, table } }) => {
    const span = from === "all" ? undefined : parsePrefix(from);
    return span !== undefined && table !== undefined && tables.has(table) &&
      addresses.some(({ address }) => contains(span, parseAddress(address)!));
  });
  const ips = addresses.map(({ address, prefixLength }) => ({
    address: `${address}/${prefixLength}`,
    interface: 0,
  }));
  return {
    ips,
    routes: routes.map(({ route }) => resultRoute(route)),
    changes: (link) => [
      ...ips.map(({ address }) => ({
        ...addAddress(link.index, link.name, interfaceAddress(address)),
        unless: "EEXIST",
      })),
      ...routes.map(({ listed }) => moveRoute(listed, link.index)),
      ...rules.map(({ listed }) => copyRule(listed)),
    ],
  };
}

/** Whether somebody asked for a route: the kernel makes its own, and a router tells the rest again. */
function isAsked({ table, protocol, destination }: Route): boolean {
  return table !== "local" && !["kernel", "ra"].includes(protocol) &&
    !destination.startsWith("fe80:");
}

function resultRoute({ destination, family, gateway, metric, table, scope }: Route): ResultRoute {
  const all = family === "inet" ? "0.0.0.0/0" : "::/0";
  const number = scopeNumber(scope);
  return {
    dst: destination === "default" ? all : destination,
    ...gateway === undefined ? {} : { gw: gateway },
    ...metric ? { priority: metric } : {},
    table: tableNumber(table),
    ...number === 0 ? {} : { scope: number },
  };
}
