/** CNI4xx: the addresses that an IPAM plugin is given. */
import type { Node } from "jsonc-parser";
import {
  bitsOf,
  contains,
  overlaps,
  parseAddress,
  parsePrefix,
  type Prefix,
  showAddress,
  showNetwork,
} from "../../base/prefix.ts";
import {
  addressingOf,
  bounds,
  type Field,
  gatewayOf,
  isPromised,
  type RangeNode,
} from "../addressing.ts";
import type { PluginNode } from "../document.ts";
import { replacing } from "../edits.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { isKnown, schemaOf } from "../schemas/mod.ts";
import { field, isObject, items, kindOf, quote, text } from "../tree.ts";
import { bridge } from "./example.ts";

export const ADDRESSES: readonly WrittenRule[] = [
  {
    code: "CNI401",
    name: "invalid-address",
    title: "not an IP address, or not a prefix",
    why:
      "Plugins take dotted IPv4 without leading zeros and IPv6 without a zone. A subnet, a fixed " +
      "address and the destination of a route have a prefix length; a gateway has none.",
    bad: bridge({}, { subnet: "10.1.0.0" }),
    *ofPlugin(plugin) {
      const { ranges, stray, fixed, routes } = addressingOf(plugin);
      yield* invalid("an address", "10.1.0.10", ...stray);
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
    title: "a subnet or the destination of a route has host bits",
    why:
      "host-local refuses a subnet whose address is not the network's own, and the kernel refuses " +
      "such an IPv4 route. Of an IPv6 route, the kernel takes the network: that is an info.",
    bad: bridge({}, { subnet: "10.1.2.3/16" }),
    fix: "safe",
    *ofPlugin(plugin) {
      const { ranges, routes } = addressingOf(plugin);
      const prefixes = [
        ...ranges.map((range) => [range.subnet, "error"] as const),
        ...routes.map(({ dst }) => [dst, dst?.value?.family === 6 ? "info" : "error"] as const),
      ];
      for (const [prefix, severity] of prefixes) {
        if (!prefix?.value || prefix.value.value === prefix.value.first) continue;
        const right = showNetwork(prefix.value);
        yield { severity, ...written(plugin, prefix, "has host bits: the network is", right) };
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
    fix: "safe",
    *ofPlugin(plugin) {
      const { ranges, fixed, routes } = addressingOf(plugin);
      const networks = [...ranges.map((range) => range.subnet), ...routes.map((route) => route.dst)]
        // Host bits have a rule of their own, whose fix writes the canonical form.
        .filter((network) => network?.value?.value === network?.value?.first);
      for (const prefix of [...networks, ...fixed.map((one) => one.address)]) {
        if (prefix?.value?.family !== 6) continue;
        const right = `${showAddress(prefix.value)}/${prefix.value.length}`;
        if (right === prefix.node.value) continue;
        yield written(plugin, prefix, "is written", right);
      }
    },
  },
  {
    code: "CNI404",
    name: "range-missing",
    title: "the IPAM plugin has nothing to assign",
    ofAbsence: true,
    why: "host-local takes addresses from a subnet, static from a list.",
    bad: bridge({}, { subnet: undefined }),
    *ofPlugin(plugin, { reader }) {
      const { ipam, ipamType, role } = plugin;
      // flannel, antrea and others fill in the addresses themselves: what is unknown may as well.
      const schema = schemaOf(plugin);
      if (!isObject(ipam) || role === "partial" || !schema || schema.ipam === "own") return;
      if (ipamType === "static") {
        const addresses = field(ipam, "addresses");
        for (const item of items(addresses)) {
          if (!isObject(item) || field(item, "address")) continue;
          yield { at: item, message: 'an item of "addresses" has no "address"', help: "add it" };
        }
        if (addresses && (addresses.type !== "array" || items(addresses).length > 0)) return;
        if (isPromised(plugin, "ips") || field(plugin.field("args"), "cni")) return;
        // An agent hands in none; who else calls it may, by CNI_ARGS.
        if (reader === "libcni") return;
        yield {
          at: addresses ?? field(ipam, "type"),
          severity: reader ? "error" : "warning",
          message: "static has no address to assign",
          help: 'add "addresses": [{ "address": "10.1.0.5/16", "gateway": "10.1.0.1" }]',
        };
      }
      if (ipamType !== "host-local") return;
      const [subnet, ranges] = [field(ipam, "subnet"), field(ipam, "ranges")];
      if (!subnet && (!ranges || (ranges.type === "array" && items(ranges).length === 0))) {
        if (isPromised(plugin, "ipRanges") || (isFilledIn(plugin) && reader === "libcni")) return;
        yield {
          at: ranges ?? field(ipam, "type"),
          severity: isFilledIn(plugin) && !reader ? "warning" : "error",
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
    code: "CNI406",
    name: "range-outside",
    title: "a range leaves its subnet, is reversed, or has nothing to give",
    why:
      "host-local refuses a range that is not inside its subnet, and a subnet longer than /30 or /126. It " +
      "gives away neither the gateway nor anything outside rangeStart to rangeEnd; where nothing is left, " +
      "no container gets an address.",
    bad: bridge({}, { rangeStart: "10.2.0.10" }),
    good: bridge({}, { rangeStart: "10.1.0.10", rangeEnd: "10.1.0.200" }),
    *ofPlugin(plugin) {
      for (const range of addressingOf(plugin).ranges) yield* rangeProblems(range);
    },
  },
  {
    code: "CNI407",
    name: "ranges-overlap",
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
    *ofPlugin(plugin) {
      const spans = addressingOf(plugin).ranges.flatMap((range, index) => {
        const span = bounds(range);
        return span ? [{ range, index, span }] : [];
      });
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
    code: "CNI418",
    name: "one-address-for-all",
    severity: "warning",
    title: "every container gets the same address",
    why:
      "static gives the addresses of the file to each container that is attached. The second one has the " +
      "first one's address: on a bridge, packets go to whichever answered last. The runtime can give " +
      'each its own with "capabilities": {"ips": true}.',
    bad: bridge({ ipam: undefined }, {}).replace(
      /"ipam": \{[^}]*\}[^}]*\}/,
      '"ipam": { "type": "static", "addresses": [{ "address": "10.1.0.5/16" }], "routes": [{ "dst": "0.0.0.0/0", "gw": "10.1.0.1" }] }',
    ),
    *ofPlugin(plugin, { reader }) {
      const [first] = addressingOf(plugin).fixed;
      if (!first || plugin.role === "network" || isPromised(plugin, "ips")) return;
      if (schemaOf(plugin)?.kind !== "main" || plugin.type === "host-device") return;
      yield {
        at: first.address?.node ?? first.node,
        // A network of Kubernetes may be that of a single pod.
        severity: reader === "libcni" ? "info" : "warning",
        message: "static gives this one address to every container of the network",
        help:
          'use host-local, or "capabilities": { "ips": true } where the runtime chooses addresses',
      };
    },
  },
  {
    code: "CNI419",
    name: "requested-address",
    title: "an address that args or runtimeConfig asks for can't be given",
    why:
      '"args": {"cni": {"ips": […]}}, and "ips" of runtimeConfig, are read by host-local and static. ' +
      "host-local refuses an address that is in none of its ranges; static takes these addresses in place " +
      "of its own, and each needs its prefix length.",
    bad: bridge({ args: { cni: { ips: ["10.2.0.5"] } } }),
    good: bridge({ args: { cni: { ips: ["10.1.0.5"] } } }),
    *ofPlugin(plugin) {
      const isStatic = plugin.ipamType === "static";
      if (!isStatic && plugin.ipamType !== "host-local") return;
      const example = isStatic ? '["10.1.0.5/16"]' : '["10.1.0.5"]';
      const runtime = plugin.field("runtimeConfig");
      const lists = [field(field(plugin.field("args"), "cni"), "ips"), field(runtime, "ips")];
      const hasOtherRanges = runtime ? field(runtime, "ipRanges") : isPromised(plugin, "ipRanges");
      for (const list of lists) {
        if (list && list.type !== "array") yield ofWrongType(list, "a list", example);
        for (const node of items(list)) {
          const value = text(node);
          const address = value === undefined
            ? undefined
            : parsePrefix(value) ?? (isStatic ? undefined : parseAddress(value));
          if (value === undefined) yield ofWrongType(node, "a string", example);
          else if (!address) {
            yield {
              at: node,
              message: `${quote(value)} is no address${isStatic ? " with its prefix length" : ""}`,
              help: `write "ips": ${example}`,
            };
          } else if (!isStatic && !hasOtherRanges) {
            const { ranges } = addressingOf(plugin);
            const isGiven = ranges.some((range) => {
              const limits = bounds(range);
              return !limits || contains(limits, address);
            });
            if (isGiven || ranges.length === 0) continue;
            yield {
              at: node,
              message: `${quote(value)} is in none of the ranges that host-local gives from`,
              help: "ask for an address of a range",
            };
          }
        }
      }
    },
  },
];

/** A value that is to be written in another way; --fix does it where the plugin is known in full. */
function written(plugin: PluginNode, { node }: Field<Prefix>, what: string, right: string): Found {
  return {
    at: node,
    message: `${quote(node.value)} ${what} ${right}`,
    help: `write "${right}"`,
    fix: isKnown(plugin) ? replacing(node, right, `write "${right}"`) : undefined,
  };
}

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

function* rangeProblems(range: RangeNode): Generator<Found> {
  const subnet = range.subnet?.value;
  if (!subnet) return;
  let outside = false;
  for (const end of [range.start, range.end]) {
    if (!end?.value || contains(subnet, end.value)) continue;
    outside = true;
    yield {
      at: end.node,
      message: `${quote(end.node.value)} is not in ${showNetwork(subnet)}`,
      help: "use an address of the subnet",
    };
  }
  const { first, last } = bounds(range)!;
  const longest = bitsOf(subnet.family) - 2;
  if (subnet.length > longest) {
    yield {
      at: range.subnet!.node,
      message: `${quote(range.subnet!.node.value)} is too small to take addresses from`,
      help: `use a prefix length of at most ${longest}`,
    };
  }
  if (outside || subnet.length > longest) return;
  if (first > last) {
    yield {
      at: (range.end ?? range.start)!.node,
      message: range.end
        ? "the range is reversed: rangeEnd is before rangeStart"
        : "the range is empty: nothing but the broadcast address is left",
      help: range.end ? "swap the two" : "start earlier",
    };
  } else if (first === subnet.first || (subnet.family === 4 && last === subnet.last)) {
    const isFirst = first === subnet.first;
    yield {
      at: (isFirst ? range.start : range.end)!.node,
      severity: "warning",
      message: `a container would get the subnet's ${isFirst ? "network" : "broadcast"} address`,
      help: isFirst ? "start one later" : "end one earlier",
    };
  } else if (first === last && gatewayOf(range)?.value === first) {
    yield {
      at: (range.end ?? range.start)!.node,
      message: "the range holds nothing but the gateway, which is not given to containers",
      help: "make the range larger",
    };
  }
}

/**
 * On a node of Kubernetes, kube-router and kilo write the node's own ranges into a config like this
 * one. Their bridge has the same name.
 */
function isFilledIn(plugin: PluginNode): boolean {
  return plugin.type === "bridge" && plugin.text("bridge") === "kube-bridge";
}

function ofWrongType(at: Node, wanted: string, example: string) {
  return {
    at,
    message: `"ips" holds ${kindOf(at)} where ${wanted} belongs`,
    help: `write "ips": ${example}`,
  };
}
