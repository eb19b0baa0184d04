/** CNI4xx: addresses, ranges and routes. */
import {
  type Address,
  bitsOf,
  contains,
  overlaps,
  type Prefix,
  showAddress,
  showNetwork,
  type Span,
} from "../address.ts";
import { bounds, type Field, gatewayOf, type RangeNode } from "../addressing.ts";
import { atLeast, DEFAULT_VERSION, isSpecVersion } from "../../cni/version.ts";
import type { PluginNode } from "../document.ts";
import type { Found, Rule } from "../rule.ts";
import { makesNoAddress, schemaOf } from "../schemas/mod.ts";
import { field, isObject, isTrue, items, property, quote } from "../tree.ts";
import { attached, bridge, network } from "./example.ts";

export const ADDRESSES: readonly Rule[] = [
  {
    code: "CNI401",
    name: "invalid-address",
    severity: "error",
    title: "not an IP address, or not a prefix",
    why:
      "Plugins take dotted IPv4 without leading zeros and IPv6 without a zone. A subnet, a fixed " +
      "address and the destination of a route have a prefix length; a gateway has none.",
    bad: bridge({}, { subnet: "10.1.0.0" }),
    good: bridge({}, { subnet: "10.1.0.0/16" }),
    on: "plugin",
    *check(plugin) {
      const { ranges, fixed, routes } = plugin.addressing;
      for (const { subnet, start, end, gateway } of ranges) {
        yield* invalid("a subnet", "10.1.0.0/16", subnet);
        yield* invalid("an address", "10.1.0.10", start, end, gateway);
      }
      for (const { address, gateway } of fixed) {
        yield* invalid("an address with its prefix length", "10.1.0.10/16", address);
        yield* invalid("an address", "10.1.0.1", gateway);
      }
      for (const { dst, gw } of routes) {
        yield* invalid("the destination of a route", "0.0.0.0/0", dst);
        yield* invalid("an address", "10.1.0.1", gw);
      }
    },
  },
  {
    code: "CNI402",
    name: "host-bits",
    severity: "error",
    title: "a subnet or the destination of a route has host bits",
    why:
      "host-local refuses a subnet whose address is not the network's own, and the kernel refuses " +
      "such a route.",
    bad: bridge({}, { subnet: "10.1.2.3/16" }),
    good: bridge({}, { subnet: "10.1.0.0/16" }),
    fixable: true,
    on: "plugin",
    *check(plugin) {
      const { ranges, routes } = plugin.addressing;
      const prefixes = [
        ...ranges.map((range) => range.subnet),
        ...routes.map((route) => route.dst),
      ];
      for (const prefix of prefixes) {
        if (!prefix?.value || prefix.value.value === prefix.value.first) continue;
        const right = showNetwork(prefix.value);
        yield {
          at: prefix.node,
          message: `${quote(prefix.node.value)} has host bits: the network is ${right}`,
          help: `write "${right}"`,
          fix: { title: `write "${right}"`, edits: [replaced(prefix, right)] },
        };
      }
    },
  },
  {
    code: "CNI403",
    name: "not-canonical",
    severity: "info",
    title: "an IPv6 address is not in its canonical form",
    why:
      "Rules, logs and leases show the form of RFC 5952; a search for what the file has finds nothing.",
    bad: bridge({}, { subnet: "FD00:0:0:1::/64", routes: [{ dst: "::/0" }] }),
    good: bridge({}, { subnet: "fd00:0:0:1::/64", routes: [{ dst: "::/0" }] }),
    fixable: true,
    on: "plugin",
    *check(plugin) {
      const { ranges, fixed, routes } = plugin.addressing;
      const networks = [...ranges.map((range) => range.subnet), ...routes.map((route) => route.dst)]
        // Host bits have a rule of their own, whose fix writes the canonical form.
        .filter((network) => network?.value?.value === network?.value?.first);
      for (const prefix of [...networks, ...fixed.map((one) => one.address)]) {
        if (prefix?.value?.family !== 6) continue;
        const right = `${showAddress(prefix.value)}/${prefix.value.length}`;
        if (right === prefix.node.value) continue;
        yield {
          at: prefix.node,
          message: `${quote(prefix.node.value)} is written ${right}`,
          help: `write "${right}"`,
          fix: { title: `write "${right}"`, edits: [replaced(prefix, right)] },
        };
      }
    },
  },
  {
    code: "CNI404",
    name: "range-missing",
    severity: "error",
    title: "the IPAM plugin has nothing to assign",
    why: "host-local takes addresses from a subnet, static from a list.",
    bad: bridge({}, { subnet: undefined }),
    good: bridge({}, { subnet: "10.1.0.0/16" }),
    on: "plugin",
    *check(plugin) {
      const { ipam, ipamType, role } = plugin;
      // flannel and others fill in the addresses themselves.
      if (!isObject(ipam) || role === "partial" || schemaOf(plugin)?.ipam === "own") return;
      if (ipamType === "static") {
        const addresses = field(ipam, "addresses");
        for (const item of items(addresses)) {
          if (!isObject(item) || field(item, "address")) continue;
          yield { at: item, message: 'an item of "addresses" has no "address"', help: "add it" };
        }
        if (addresses && (addresses.type !== "array" || items(addresses).length > 0)) return;
        if (isPromised(plugin, "ips") || field(plugin.field("args"), "cni")) return;
        yield {
          at: addresses ?? field(ipam, "type"),
          message: "static has no address to assign",
          help: 'add "addresses": [{ "address": "10.1.0.5/16", "gateway": "10.1.0.1" }]',
        };
      }
      if (ipamType !== "host-local") return;
      const [subnet, ranges] = [field(ipam, "subnet"), field(ipam, "ranges")];
      if (!subnet && (!ranges || (ranges.type === "array" && items(ranges).length === 0))) {
        if (isPromised(plugin, "ipRanges")) return;
        yield {
          at: ranges ?? field(ipam, "type"),
          message: "host-local has no subnet to take addresses from",
          help: 'add "subnet": "10.1.0.0/16", or "ranges"',
        };
      }
      for (const set of items(ranges)) {
        if (set.type === "array" && items(set).length === 0) {
          yield { at: set, message: "a set of ranges is empty", help: "add a range, or delete it" };
        }
        for (const range of items(set)) {
          if (!isObject(range) || field(range, "subnet")) continue;
          yield { at: range, message: "a range has no subnet", help: 'add "subnet"' };
        }
      }
    },
  },
  {
    code: "CNI405",
    name: "subnet-too-small",
    severity: "error",
    title: "a subnet is too small to take addresses from",
    why:
      "Network, gateway and (in IPv4) broadcast address are not given to containers: host-local " +
      "refuses prefixes longer than /30 or /126.",
    bad: bridge({}, { subnet: "10.1.0.0/31" }),
    good: bridge({}, { subnet: "10.1.0.0/29" }),
    on: "plugin",
    *check(plugin) {
      for (const { subnet } of plugin.addressing.ranges) {
        if (!subnet?.value || subnet.value.length <= bitsOf(subnet.value.family) - 2) continue;
        yield {
          at: subnet.node,
          message: `${quote(subnet.node.value)} is too small to take addresses from`,
          help: `use a prefix length of at most ${bitsOf(subnet.value.family) - 2}`,
        };
      }
    },
  },
  {
    code: "CNI406",
    name: "range-outside",
    severity: "error",
    title: "a range leaves its subnet, is reversed, or has nothing to give",
    why:
      "host-local refuses a range that is not inside its subnet. It gives away neither the gateway nor " +
      "anything outside rangeStart to rangeEnd; where nothing is left, no container gets an address.",
    bad: bridge({}, { rangeStart: "10.2.0.10" }),
    good: bridge({}, { rangeStart: "10.1.0.10", rangeEnd: "10.1.0.200" }),
    on: "plugin",
    *check(plugin) {
      for (const range of plugin.addressing.ranges) yield* rangeProblems(range);
    },
  },
  {
    code: "CNI407",
    name: "ranges-overlap",
    severity: "error",
    title: "two ranges of one network overlap, or a set of ranges mixes IPv4 and IPv6",
    why: "host-local refuses both. Each set of ranges gives a container one address.",
    bad: bridge({}, {
      subnet: undefined,
      ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "10.1.2.0/24" }]],
    }),
    good: bridge({}, {
      subnet: undefined,
      ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "fd00:1::/64" }]],
    }),
    on: "plugin",
    *check(plugin) {
      const spans = plugin.addressing.ranges.map((range, index) => ({
        range,
        index,
        span: spanOf(range),
      })).filter(hasSpan);
      const families = new Map<number, 4 | 6>();
      for (const { range, span } of spans) {
        if ((families.get(range.set) ?? span.family) !== span.family) {
          yield {
            at: range.subnet!.node,
            message: "a set of ranges mixes IPv4 and IPv6",
            help: "give each family a set of its own: [[ … ], [ … ]]",
          };
        }
        families.set(range.set, span.family);
      }
      for (const [a, b] of overlaps(spans)) {
        const [earlier, later] = a.index < b.index ? [a, b] : [b, a];
        yield {
          at: later.range.subnet!.node,
          message: `${quote(later.range.subnet!.node.value)} overlaps with ` +
            `${quote(earlier.range.subnet!.node.value)} of the same network`,
          help: "make the ranges disjoint",
        };
      }
    },
  },
  {
    code: "CNI408",
    name: "too-many-addresses",
    severity: "error",
    title: "a container gets more addresses than the config's version can tell",
    why:
      "Versions of the specification before 0.3.0 know one IPv4 and one IPv6 address for a container, " +
      'and a config without "cniVersion" is one of them.',
    bad: network({
      cniVersion: "0.2.0",
      type: "ptp",
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "10.2.0.0/16" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    }),
    good: network({
      type: "ptp",
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.1.0.0/16" }], [{ subnet: "10.2.0.0/16" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    }),
    on: "plugin",
    *check(plugin) {
      const version = oldVersion(plugin);
      if (!version) return;
      const { ranges, fixed } = plugin.addressing;
      const sets = new Map(ranges.map((range) => [range.set, range.subnet?.value?.family]));
      const families = [...sets.values(), ...fixed.map((one) => one.address?.value?.family)];
      for (const family of [4, 6] as const) {
        const count = families.filter((one) => one === family).length;
        if (count < 2) continue;
        yield {
          at: field(plugin.ipam, fixed.length ? "addresses" : "ranges"),
          message: `a container gets ${count} IPv${family} addresses, and CNI ${version} knows one`,
          help: 'write "cniVersion": "0.3.1" or newer',
        };
      }
    },
  },
  {
    code: "CNI409",
    name: "gateway-outside",
    severity: "error",
    title: "the gateway is not in the subnet",
    why:
      "A container reaches only addresses of its own subnet without a gateway: the kernel refuses a " +
      "route through one that it can't reach. ptp sets a route to its gateway and takes any. Where no " +
      "route uses the gateway, it is a warning.",
    bad: bridge({}, { gateway: "10.2.0.1" }),
    good: bridge({}, { gateway: "10.1.0.1" }),
    on: "plugin",
    *check(plugin) {
      if (plugin.type === "ptp") return;
      const { ranges, fixed } = plugin.addressing;
      const pairs = [
        ...ranges.map((range) => [range.subnet, range.gateway] as const),
        ...fixed.map((one) => [one.address, one.gateway] as const),
      ];
      for (const [subnet, gateway] of pairs) {
        if (!subnet?.value || !gateway?.value || within(subnet.value, gateway.value)) continue;
        yield {
          at: gateway.node,
          severity: isFatal(plugin, subnet.value, gateway.value) ? "error" : "warning",
          message: `the gateway ${quote(gateway.node.value)} is not in ${
            showNetwork(subnet.value)
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
    on: "plugin",
    *check(plugin) {
      const { ranges, fixed } = plugin.addressing;
      const pairs = [
        ...ranges.map((range) => [range.subnet?.value, range.gateway] as const),
        ...fixed.map((one) => [one.address?.value, one.gateway] as const),
      ];
      for (const [subnet, gateway] of pairs) {
        if (!subnet || gateway?.value?.family !== subnet.family) continue;
        if (subnet.length >= bitsOf(subnet.family) - 1) continue;
        const { value } = gateway.value;
        const isLast = subnet.family === 4 && value === subnet.last;
        if (value !== subnet.first && !isLast) continue;
        yield {
          at: gateway.node,
          severity: isLast && plugin.type !== "ptp" && usesGateway(plugin, 4) ? "error" : "warning",
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
    severity: "error",
    title: "a route's next hop can't be reached from the container",
    why:
      'The kernel refuses a route through a gateway ("gw") that is in none of the container\'s subnets.',
    bad: bridge({}, { routes: [{ dst: "0.0.0.0/0", gw: "10.9.0.1" }] }),
    good: bridge({}, { routes: [{ dst: "0.0.0.0/0", gw: "10.1.0.1" }] }),
    on: "plugin",
    *check(plugin) {
      const { ranges, fixed, routes } = plugin.addressing;
      if (!SETS_ROUTES.includes(plugin.type ?? "")) return;
      const subnets = [...ranges.map((range) => range.subnet), ...fixed.map((one) => one.address)]
        .map((subnet) => subnet?.value);
      // One subnet that can't be read, or is given elsewhere, may be the one.
      if (subnets.length === 0 || subnets.includes(undefined)) return;
      if (isPromised(plugin, "ipRanges") || isPromised(plugin, "ips")) return;
      // No network has that many; to look at all pairs would take seconds.
      if (subnets.length * routes.length > 1_000_000) return;
      const own = ranges.map((range) => gatewayOf(range));
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
        } else if (gw?.value && !isLinkLocal(gw.value)) {
          const { value } = gw;
          const isReached = subnets.some((subnet) => within(subnet!, value)) ||
            // ptp sets a route to the network's own gateway first, wherever that is.
            (plugin.type === "ptp" && own.some((gateway) => gateway?.value === value.value));
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
    severity: "warning",
    title: "a route stands twice",
    why:
      "The plugins keep the first of two routes to one destination and skip the other without a word.",
    bad: bridge({}, { routes: [{ dst: "0.0.0.0/0" }, { dst: "0.0.0.0/0", gw: "10.1.0.2" }] }),
    good: bridge({}, { routes: [{ dst: "0.0.0.0/0" }] }),
    on: "plugin",
    *check(plugin) {
      const seen = new Set<string>();
      for (const { dst, node } of plugin.addressing.routes) {
        if (!dst?.value) continue;
        const key = [
          showNetwork(dst.value),
          field(node, "table")?.value,
          field(node, "priority")?.value,
        ].join(" ");
        if (seen.has(key)) {
          yield {
            at: dst.node,
            message: `there is a route to ${showNetwork(dst.value)} already`,
            help: "delete one of the two",
          };
        }
        seen.add(key);
      }
    },
  },
  {
    code: "CNI413",
    name: "route-without-destination",
    severity: "error",
    title: 'a route has no "dst"',
    why:
      'A stock Mesos agent skips a network with such a route; a default route is {"dst": "0.0.0.0/0"}.',
    bad: bridge({}, { routes: [{ gw: "10.1.0.1" }] }),
    good: bridge({}, { routes: [{ dst: "0.0.0.0/0" }] }),
    on: "plugin",
    *check(plugin) {
      for (const { node } of plugin.addressing.routes) {
        if (field(node, "dst")) continue;
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
    why:
      "The executor runs in the container and must register with the agent. With addresses but no " +
      "route, it reaches only its own subnet; unless the agent has an address there, the task never " +
      "starts. A default route in ipam.routes, or isDefaultGateway of the bridge, is what is usually " +
      "missing.",
    bad: bridge({}, { routes: undefined }),
    good: bridge({}, { routes: [{ dst: "0.0.0.0/0" }] }),
    on: "plugin",
    *check(plugin) {
      const { ipam, ipamType, role, type } = plugin;
      if (ipamType !== "host-local" && ipamType !== "static") return;
      // Calico and others set routes of their own.
      if (schemaOf(plugin)?.ipam === "own") return;
      if (role === "partial" || role === "network" || plugin.isChained) return;
      const { ranges, fixed, routes } = plugin.addressing;
      if (ranges.length + fixed.length === 0) return;
      if (isTrue(plugin.field("isDefaultGateway")) || routes.length > 0) return;
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
    code: "CNI415",
    name: "special-addresses",
    severity: "warning",
    title: "containers get addresses that are no good for hosts",
    why:
      "Loopback, multicast and link-local addresses are not routed, and in IPv6 only unique local " +
      "(fc00::/7) and global unicast (2000::/3) addresses are: traffic to others never leaves the " +
      "container, or never comes back. 2001:db8::/32 is for documentation.",
    bad: bridge({}, { subnet: "fe80::/64", routes: [{ dst: "::/0" }] }),
    good: bridge({}, { subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }),
    on: "plugin",
    *check(plugin) {
      const { ranges, fixed } = plugin.addressing;
      for (
        const subnet of [
          ...ranges.map((range) => range.subnet),
          ...fixed.map((one) => one.address),
        ]
      ) {
        const use = subnet?.value && specialUse(subnet.value);
        if (!use) continue;
        yield {
          at: subnet.node,
          // There is nothing left that is not in the subnet; host-local gives nothing away.
          severity: subnet.value!.length === 0 ? "error" : undefined,
          message: `${quote(subnet.node.value)} is ${use}`,
          help: subnet.value!.family === 4
            ? "use a private network: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
            : "use a unique local prefix (fdXX:XXXX:XXXX::/48, RFC 4193) or one of your own",
        };
      }
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
    good: bridge(),
    on: "plugin",
    *check(plugin) {
      if (plugin.type !== "macvlan" && plugin.type !== "ipvlan") return;
      if (plugin.role === "network" || isTrue(plugin.field("linkInContainer"))) return;
      yield {
        at: property(plugin.node, "type"),
        message:
          `containers on ${plugin.type} don't reach the agent's own address on the device below`,
        help: "let the agent listen on another device, or attach the container to a second network",
      };
    },
  },
  {
    code: "CNI417",
    name: "no-address-in-old-version",
    severity: "error",
    title: "the config's version can't tell of a container without an address",
    why:
      "Results of the specification before 0.3.0 hold addresses and nothing else. A plugin that is asked " +
      'for none, in a config of such a version or without "cniVersion", fails when it prints its result.',
    bad: network({ cniVersion: undefined, type: "bridge", bridge: "cni0" }),
    good: network({ cniVersion: "0.4.0", type: "bridge", bridge: "cni0" }),
    on: "plugin",
    *check(plugin) {
      const version = oldVersion(plugin);
      if (!version || !makesNoAddress(plugin)) return;
      yield {
        at: property(plugin.document.root, "cniVersion") ?? property(plugin.node, "type"),
        message:
          `${plugin.type} without "ipam" has no address to report, and CNI ${version} needs one`,
        help: 'write "cniVersion": "0.4.0" or newer, or add "ipam"',
      };
    },
  },
];

function* invalid(
  what: string,
  example: string,
  ...fields: (Field<unknown> | undefined)[]
): Generator<Found> {
  for (const one of fields) {
    if (!one || one.value !== undefined) continue;
    yield {
      at: one.node,
      message: `${quote(one.node.value)} is not ${what}`,
      help: `write it like "${example}"`,
    };
  }
}

/** Rewrites the string of a field. */
function replaced(field: Field<unknown>, text: string) {
  return { offset: field.node.offset, length: field.node.length, content: JSON.stringify(text) };
}

function within(subnet: Prefix, address: Address): boolean {
  return contains({ family: subnet.family, first: subnet.first, last: subnet.last }, address);
}

function spanOf(range: RangeNode): Span | undefined {
  const limits = bounds(range);
  return limits && { family: range.subnet!.value!.family, ...limits };
}

function hasSpan<T extends { span?: Span }>(item: T): item is T & { span: Span } {
  return item.span !== undefined;
}

function* rangeProblems(range: RangeNode): Generator<Found> {
  const subnet = range.subnet?.value;
  if (!subnet) return;
  let outside = false;
  for (const end of [range.start, range.end]) {
    if (!end?.value || within(subnet, end.value)) continue;
    outside = true;
    yield {
      at: end.node,
      message: `${quote(end.node.value)} is not in ${showNetwork(subnet)}`,
      help: "use an address of the subnet",
    };
  }
  const { first, last } = bounds(range)!;
  if (outside || subnet.length > bitsOf(subnet.family) - 2) return;
  if (first > last) {
    yield {
      at: (range.end ?? range.start)!.node,
      message: range.end
        ? "the range is reversed: rangeEnd is before rangeStart"
        : "the range is empty: nothing but the broadcast address is left",
      help: range.end ? "swap the two" : "start earlier",
    };
  } else if (first === last && gatewayOf(range)?.value === first) {
    yield {
      at: (range.end ?? range.start)!.node,
      message: "the range holds nothing but the gateway, which is not given to containers",
      help: "make the range larger",
    };
  }
}

/** Plugins that set the routes of their IPAM plugin by the kernel's rules. */
const SETS_ROUTES = ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "host-device", "tap", "dummy"];

/** Whether a container can't be attached with a gateway that is not in the subnet. */
function isFatal(plugin: PluginNode, subnet: Prefix, gateway: Address): boolean {
  return SETS_ROUTES.includes(plugin.type ?? "") && subnet.family === gateway.family &&
    usesGateway(plugin, gateway.family);
}

/** Whether the plugin sets a route of the family that goes through the network's gateway. */
function usesGateway(plugin: PluginNode, family: 4 | 6): boolean {
  if (isTrue(plugin.field("isDefaultGateway"))) return true;
  return plugin.addressing.routes.some(({ dst, gw }) => !gw && dst?.value?.family === family);
}

/** Whether the runtime may hand in addresses that the file doesn't have. */
function isPromised(plugin: PluginNode, capability: string): boolean {
  return isTrue(field(plugin.field("capabilities"), capability)) ||
    plugin.field("runtimeConfig") !== undefined;
}

/** The version of a config that is read as one from before 0.3.0. */
function oldVersion(plugin: PluginNode): string | undefined {
  const { root, version = "" } = plugin.document;
  const read = version || DEFAULT_VERSION;
  if (property(root, "cniVersions") || !isSpecVersion(read) || atLeast(read, "0.3.0")) return;
  return read;
}

function isLinkLocal({ family, value }: Address): boolean {
  return family === 6 && value >> 118n === 0xfe80n >> 6n;
}

function specialUse({ family, first, length }: Prefix): string | undefined {
  if (length === 0) return "all addresses there are";
  if (family === 4) {
    const top = Number(first >> 24n);
    if (length < 8) return undefined; // wider than any special network
    if (top === 0) return "in 0.0.0.0/8, which means this network";
    if (top === 127) return "loopback, which never leaves a host";
    if (top >= 224) return "multicast or reserved, not for hosts";
    if (first >> 16n === 0xa9fen && length >= 16) return "link-local, which is not routed";
    return undefined;
  }
  if (first >> 96n === 0x20010db8n) return "for documentation only, and not routed";
  if (first >> 125n === 1n || first >> 121n === 0x7en) return undefined;
  if (first >> 120n === 0xffn) return "multicast, not for hosts";
  if (first >> 118n === 0xfe80n >> 6n) return "link-local, which is not routed";
  return "neither unique local (fc00::/7) nor global unicast (2000::/3)";
}
