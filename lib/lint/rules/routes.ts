/** CNI4xx: gateways and routes, and whether an executor reaches its agent by them. */
import {
  type Address,
  bitsOf,
  contains,
  type Prefix,
  showAddress,
  showNetwork,
} from "../../base/prefix.ts";
import {
  addressingOf,
  gatewayOf,
  isPromised,
  prefixesOf,
  type RouteNode,
  usesGateway,
} from "../addressing.ts";
import type { PluginNode } from "../document.ts";
import { readerOf } from "../reader.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { ROUTE } from "../schemas/common.ts";
import { meant } from "../schemas/elsewhere.ts";
import { ipamSchemaOf, schemaOf } from "../schemas/mod.ts";
import { entries, field, quote } from "../tree.ts";
import { attached, bridge } from "./example.ts";

export const ROUTES: readonly WrittenRule[] = [
  {
    code: "CNI409",
    name: "gateway-outside",
    title: "the gateway is not in the subnet",
    why:
      "A container reaches only addresses of its own subnet without a gateway: the kernel refuses a " +
      "route through one that it can't reach. Where no route uses the gateway, it is a warning, since " +
      "host-local refuses it all the same since 1.10.0, and mesos-cni's does. 0.0.0.0 of static stands for no gateway.",
    bad: bridge({}, { gateway: "10.2.0.1" }),
    good: bridge({}, { gateway: "10.1.0.1" }),
    *ofPlugin(plugin) {
      for (const { prefix: subnet, gateway, isRange } of prefixesOf(plugin)) {
        if (!subnet?.value || !gateway?.value || contains(subnet.value, gateway.value)) continue;
        // It is not known what plugins of other projects do with the gateway.
        const isOnBridge = plugin.type === "bridge" && plugin.isGateway;
        // A link-local one is on every link, but a bridge has an address of that kind already.
        const isFine = isUnspecified(gateway.value) ||
          (isLinkLocal(gateway.value) && !isOnBridge);
        const isError = !isFine && isFatal(plugin, subnet.value, gateway.value);
        const isTaken = isFine || !schemaOf(plugin) || plugin.type === "ptp";
        if (!isRange && isTaken && !isError) continue;
        yield {
          at: gateway.node,
          severity: isError ? "error" : "warning",
          message: `the gateway ${quote(gateway.node.value)} is not in ${
            showNetwork(subnet.value)
          }${
            isRange && !isError
              ? ", which host-local refuses since 1.10.0, and mesos-cni's too"
              : ""
          }`,
          help: `use an address of the subnet, such as ${
            showAddress({ family: subnet.value.family, value: subnet.value.first + 1n })
          }`,
        };
      }
    },
  },
  {
    code: "CNI410",
    name: "gateway-at-the-end",
    severity: "warning",
    title: "the gateway is the subnet's network or broadcast address",
    why:
      "Both ends of an IPv4 subnet are reserved; routers and the kernel drop or refuse traffic to them. " +
      "The first address of an IPv6 subnet is every router's (RFC 4291, section 2.6.1). The kernel " +
      "refuses a route through a broadcast address: that is an error.",
    bad: bridge({}, { gateway: "10.1.0.0" }),
    good: bridge({}, { gateway: "10.1.0.1" }),
    *ofPlugin(plugin) {
      for (const { prefix, gateway } of prefixesOf(plugin)) {
        const subnet = prefix?.value;
        if (!subnet || gateway?.value?.family !== subnet.family) continue;
        if (subnet.length >= bitsOf(subnet.family) - 1) continue;
        const { value } = gateway.value;
        const isLast = subnet.family === 4 && value === subnet.last;
        if (value !== subnet.first && !isLast) continue;
        yield {
          at: gateway.node,
          severity: isLast && usesGateway(plugin, 4) && SETS_ROUTES.includes(plugin.type ?? "")
            ? "error"
            : "warning",
          message:
            `${quote(gateway.node.value)} is the ${isLast ? "broadcast" : "network"} address of ` +
            `${showNetwork(subnet)}, not a host`,
          help: `use another address, such as ${
            showAddress({ family: subnet.family, value: subnet.first + 1n })
          }`,
        };
      }
    },
  },
  {
    code: "CNI411",
    name: "route-out-of-reach",
    title: "a route's next hop can't be reached from the container",
    why:
      'The kernel refuses a route through a gateway ("gw") that is in none of the container\'s subnets.',
    bad: bridge({}, { routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }] }),
    good: bridge({}, { routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] }),
    *ofPlugin(plugin) {
      const { routes } = addressingOf(plugin);
      if (!SETS_ROUTES.includes(plugin.type ?? "")) return;
      const subnets = prefixesOf(plugin).map(({ prefix }) => prefix?.value);
      // One subnet that can't be read, or is given elsewhere, may be the one.
      if (subnets.length === 0 || subnets.includes(undefined)) return;
      if (isPromised(plugin, "ipRanges") || isPromised(plugin, "ips")) return;
      // No network has that many; to look at all pairs would take seconds.
      if ((subnets.length + routes.length) * routes.length > 1_000_000) return;
      for (const { dst, gw } of routes) {
        const family = (gw?.value ?? dst?.value)?.family;
        if (dst?.value && gw?.value && dst.value.family !== gw.value.family) {
          yield {
            at: gw.node,
            message: "the destination and the next hop of a route are of different families",
            help: "use an IPv4 next hop for IPv4, and an IPv6 one for IPv6",
          };
        } else if (family && !subnets.some((subnet) => subnet!.family === family)) {
          yield {
            at: (gw ?? dst)!.node,
            severity: gw ? "error" : "warning",
            message: `an IPv${family} route, and the container gets no IPv${family} address`,
            help: `delete the route, or add an IPv${family} subnet`,
          };
        } else if (gw?.value && !isLinkLocal(gw.value) && !isUnspecified(gw.value)) {
          const { value } = gw;
          const isReached = subnets.some((subnet) => contains(subnet!, value)) ||
            routes.some((route) => isOnLink(route, value));
          if (isReached) continue;
          yield {
            at: gw.node,
            message: `the next hop ${quote(gw.node.value)} is in none of the container's subnets`,
            help: "use an address of the subnet, or leave gw out to take the network's gateway",
          };
        }
      }
    },
  },
  {
    code: "CNI412",
    name: "duplicate-route",
    title: "a route stands twice",
    why:
      'The kernel answers "file exists" to the second route to one destination, and since version 1.0.0 ' +
      "the plugins fail with that; older ones skip it without a word. With isDefaultGateway, the bridge " +
      'plugin adds a default route unless routes has one with a "gw". By another next hop, the kernel ' +
      "takes both and uses one: that is a warning.",
    bad: bridge({}, { routes: [{ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0" }] }),
    *ofPlugin(plugin) {
      const seen = new Map<string, string>();
      const { routes, ranges } = addressingOf(plugin);
      for (const { dst, gw, node } of routes) {
        if (!dst?.value) continue;
        const key = [
          dst.value.family,
          dst.value.first,
          dst.value.length,
          field(node, "table")?.value,
          field(node, "priority")?.value,
        ].join(" ");
        const own = ranges.map(gatewayOf).find((one) => one?.family === dst.value!.family);
        const hop = String((gw?.value ?? own)?.value);
        const earlier = seen.get(key);
        if (earlier !== undefined) {
          const isRefused = earlier === hop && SETS_ROUTES.includes(plugin.type ?? "");
          yield {
            at: dst.node,
            severity: isRefused ? "error" : "warning",
            message: `there is a route to ${showNetwork(dst.value)} already`,
            help: isRefused ? "delete one of the two" : "delete one of the two: one is never used",
          };
        }
        seen.set(key, hop);
      }
      yield* defaultRouteTwice(plugin);
    },
  },
  {
    code: "CNI413",
    name: "route-without-destination",
    title: 'a route has no "dst"',
    why:
      'A stock Mesos agent skips a network with such a route; a default route is {"dst": "0.0.0.0/0"}.',
    bad: bridge({}, { routes: [{ gw: "10.1.0.1" }] }),
    *ofPlugin(plugin, context) {
      // On Windows, and in plugins of other projects, a next hop alone is a route.
      const reader = readerOf(plugin.document, context);
      if (!schemaOf(plugin) && reader !== "stock-agent") return;
      for (const { node } of addressingOf(plugin).routes) {
        if (field(node, "dst")) continue;
        // A misspelt key is reported as that.
        const isMisspelt = ipamSchemaOf(plugin)?.complete &&
          [...entries(node)].some(({ name }) => meant(name, ROUTE) === "dst");
        if (isMisspelt) continue;
        yield {
          at: node,
          message: 'a route has no "dst"',
          help: 'add "dst": "0.0.0.0/0" for a default route',
        };
      }
    },
  },
  {
    code: "CNI414",
    name: "no-route-to-agent",
    severity: "warning",
    title: "containers get no route by which an executor could reach the agent",
    ofAbsence: true,
    why:
      "The executor runs in the container and must register with the agent. With addresses but no " +
      "route, it reaches only its own subnet; unless the agent has an address there, the task never " +
      "starts. A default route in ipam.routes, or isDefaultGateway of the bridge, is what is usually " +
      "missing.",
    bad: bridge({}, { routes: undefined }),
    *ofPlugin(plugin, { reader }) {
      const { ipam, ipamType, role, type } = plugin;
      if (reader === "libcni") return; // no executor, no agent
      if (ipamType !== "host-local" && ipamType !== "static") return;
      // Calico and others set routes of their own.
      const schema = schemaOf(plugin);
      if (!schema || schema.ipam === "own") return;
      if (role === "partial" || role === "network" || plugin.isChained) return;
      const { ranges, fixed, routes } = addressingOf(plugin);
      if (ranges.length + fixed.length === 0) return;
      if (plugin.isTrue("isDefaultGateway") || routes.length > 0) return;
      // A later plugin of the list may add routes.
      const later = plugin.document.plugins.some((other) =>
        other.index > plugin.index && (other.ipam || other.type === "sbr")
      );
      if (later) return;
      yield {
        at: field(ipam, "type"),
        message: "containers get an address but no route: an executor can't reach the agent",
        help: type === "bridge"
          ? 'add "routes": [{ "dst": "0.0.0.0/0" }] to ipam, or "isDefaultGateway": true'
          : 'add "routes": [{ "dst": "0.0.0.0/0" }] to ipam',
      };
    },
  },
  {
    code: "CNI416",
    name: "host-out-of-reach",
    severity: "info",
    title: "a macvlan or ipvlan container can't reach the agent on the same device",
    why:
      "The kernel doesn't pass traffic between a macvlan or ipvlan interface and the device below it. " +
      "An executor reaches the agent only at an address of another device, or through a router that " +
      "sends the traffic back.",
    bad: attached({ type: "macvlan", master: "eth0", mode: "bridge" }),
    *ofPlugin(plugin, { reader }) {
      if (reader === "libcni") return;
      if (plugin.type !== "macvlan" && plugin.type !== "ipvlan") return;
      if (plugin.role === "network" || plugin.isTrue("linkInContainer")) return;
      yield {
        at: plugin.typeNode,
        message:
          `containers on ${plugin.type} don't reach the agent's own address on the device below`,
        help: "let the agent listen on another device, or attach the container to a second network",
      };
    },
  },
];

/** Plugins that set the routes of their IPAM plugin by the kernel's rules. */
const SETS_ROUTES = ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "host-device", "tap", "dummy"];

/** bridge.go, calcGateways(): a default route of the IPAM plugin counts only if it has a next hop. */
function* defaultRouteTwice(plugin: PluginNode): Generator<Found> {
  if (plugin.type !== "bridge" || !plugin.isTrue("isDefaultGateway")) return;
  const { routes } = addressingOf(plugin);
  const families = prefixesOf(plugin).map(({ prefix }) => prefix?.value?.family);
  for (const { dst, gw } of routes) {
    if (!dst?.value || dst.value.length > 0 || !families.includes(dst.value.family)) continue;
    const hasOwn = routes.some((other) =>
      other.gw && other.dst?.value?.length === 0 && other.dst.value.family === dst.value!.family
    );
    if (gw || hasOwn) continue;
    yield {
      at: dst.node,
      message: '"isDefaultGateway" adds this route as well, and the second one fails',
      help: 'delete the route, or write "isGateway" in place of "isDefaultGateway"',
    };
  }
}

/** Whether a container can't be attached with a gateway that is not in the subnet. */
function isFatal(plugin: PluginNode, subnet: Prefix, gateway: Address): boolean {
  // ptp's own route names the container's address as its source, which must be of one family.
  if (plugin.type === "ptp" && subnet.family !== gateway.family) return true;
  return SETS_ROUTES.includes(plugin.type ?? "") && usesGateway(plugin, gateway.family) &&
    (subnet.family === gateway.family || !hasAddress(plugin, gateway.family));
}

/** Whether the container gets an address of a family, as far as the file says. */
function hasAddress(plugin: PluginNode, family: 4 | 6): boolean {
  return isPromised(plugin, "ipRanges") || isPromised(plugin, "ips") ||
    prefixesOf(plugin).some(({ prefix }) => !prefix?.value || prefix.value.family === family);
}

/** Whether a route may lead to an address on the wire: it names no gateway, and not everything. */
function isOnLink({ dst, gw }: RouteNode, address: Address): boolean {
  return !gw && dst?.value !== undefined && dst.value.length > 0 && contains(dst.value, address);
}

/** 0.0.0.0 and ::, as a next hop: none. */
function isUnspecified({ value }: Address): boolean {
  return value === 0n;
}

function isLinkLocal({ family, value }: Address): boolean {
  return family === 6 && value >> 118n === 0xfe80n >> 6n;
}
