/** CNI3xx: what the networks of one directory do to each other. */
import { join } from "@std/path";
import {
  contains,
  overlap,
  overlaps,
  type Prefix,
  showAddress,
  showNetwork,
} from "../../base/prefix.ts";
import { again } from "../again.ts";
import { addressingOf, bounds, gatewayOf, type RangeNode } from "../addressing.ts";
import { type Document, type PluginNode, PORT_MAPPER } from "../document.ts";
import type { FoundIn, WrittenRule } from "../rule.ts";
import { field, isTrue, items, property, quote, text } from "../tree.ts";
import type { Node } from "jsonc-parser";
import { attached, bridge, bridgeFields, network, portMapper } from "./example.ts";

const unnamed = (name: string, subnet: string) =>
  bridge({ name, bridge: undefined, isGateway: false, ipMasq: false }, { subnet });

const device = (name: string) => attached({ name, type: "host-device", device: "eth1" });

export const ACROSS: readonly WrittenRule[] = [
  {
    code: "CNI301",
    name: "duplicate-network",
    severity: "warning",
    title: "two files define networks of one name",
    why:
      "An agent keeps the first file it reads and skips the other; which one that is depends on the " +
      "order of the directory, and may change when a file is written anew.",
    bad: { "a.conf": network({ type: "loopback" }), "b.conf": network({ type: "loopback" }) },
    good: {
      "a.conf": network({ name: "a", type: "loopback" }),
      "b.conf": network({ name: "b", type: "loopback" }),
    },
    *ofDirectory(documents) {
      for (const [earlier, { source, root, name }] of again(documents, ({ name }) => name)) {
        yield {
          source,
          at: property(root, "name"),
          message: `the network ${quote(name!)} is defined in ${earlier.source.path} already: ` +
            "an agent skips one of the two",
          help: "rename one of the networks, or delete one of the files",
        };
      }
    },
  },
  {
    code: "CNI302",
    name: "overlapping-subnets",
    severity: "warning",
    title: "two networks have overlapping subnets",
    why:
      "host-local keeps a network's leases apart by the network's name: two networks with one subnet " +
      "give the same address to two containers. On different bridges, the host has two routes to one " +
      "subnet and uses the first.",
    bad: {
      "a.conf": bridge({ name: "a" }),
      "b.conf": bridge({ name: "b", bridge: "cni1" }, { subnet: "10.1.128.0/17" }),
    },
    good: {
      "a.conf": bridge({ name: "a" }),
      "b.conf": bridge({ name: "b", bridge: "cni1" }, { subnet: "10.2.0.0/16" }),
    },
    *ofDirectory(documents) {
      if (documents.length < 2) return;
      for (const pair of overlaps([...subnets(documents)])) {
        const [earlier, later] = inOrder(documents, ...pair);
        if (earlier.plugin.document === later.plugin.document || areApart(earlier, later)) continue;
        yield {
          source: later.plugin.document.source,
          at: later.range.subnet!.node,
          message: `${showNetwork(later.span)} overlaps with ${showNetwork(earlier.span)} of the ` +
            `network ${quote(earlier.plugin.document.name ?? "")} in ` +
            earlier.plugin.document.source.path,
          help: "give each network a subnet of its own, or disjoint ranges of one subnet",
        };
      }
      yield* fixedInRanges(documents);
    },
  },
  {
    code: "CNI303",
    name: "bridge-with-two-gateways",
    title: "networks on one bridge give it different addresses",
    why:
      "As a gateway, the bridge gets one IPv4 address. The bridge plugin refuses to attach a container " +
      "when the bridge already has another one, so that whichever network is used first wins. With " +
      "forceAddress it takes the other network's gateway away instead.",
    bad: {
      "a.conf": bridge({ name: "a" }),
      "b.conf": bridge({ name: "b" }, { subnet: "10.2.0.0/16" }),
    },
    good: {
      "a.conf": bridge({ name: "a" }),
      "b.conf": bridge({ name: "b", bridge: "cni1" }, { subnet: "10.2.0.0/16" }),
    },
    *ofDirectory(documents) {
      for (const [earlier, gateway] of again(gateways(documents), ({ bridge }) => bridge)) {
        if (isLeaseTwice(earlier, gateway)) {
          yield {
            source: gateway.plugin.document.source,
            at: gateway.plugin.place("subnetFile"),
            severity: "warning",
            message: `the containers of ${earlier.plugin.document.source.path} are on the bridge ` +
              `${quote(gateway.bridge)} too, and get the same addresses: ${gateway.address}`,
            help: 'use one network, or give each a "subnetFile" and a bridge of its own',
          };
        } else if (earlier.address !== gateway.address) {
          yield {
            source: gateway.plugin.document.source,
            at: gateway.plugin.place("bridge"),
            severity: gateway.plugin.isTrue("forceAddress") ? "warning" : "error",
            message: `the bridge ${quote(gateway.bridge)} would get ${gateway.address} here and ` +
              `${earlier.address} in ${
                earlier.plugin.document === gateway.plugin.document
                  ? "the same file"
                  : earlier.plugin.document.source.path
              }`,
            help: "use a bridge for each subnet, or one subnet for the bridge",
          };
        }
      }
    },
  },
  {
    code: "CNI304",
    name: "chain-used-differently",
    severity: "warning",
    title: "port mappers share a chain and are set up differently",
    why:
      "All rules of a chain are seen by all traffic. A device that one network excludes is not excluded " +
      "in the other network's rules, and a chain belongs to one backend.",
    bad: {
      "a.conf": portMapper({ name: "a" }),
      "b.conf": portMapper({ name: "b", excludeDevices: ["cni1"] }, { bridge: "cni1" }),
    },
    good: {
      "a.conf": portMapper({ name: "a" }),
      "b.conf": portMapper({ name: "b", chain: "MESOS-B", excludeDevices: ["cni1"] }, {
        ...bridgeFields({ bridge: "cni1" }, { subnet: "10.2.0.0/16" }),
      }),
    },
    *ofDirectory(documents) {
      const mappers = documents.flatMap((document) => document.plugins)
        .filter(({ type }) => type === PORT_MAPPER)
        .map((plugin) => ({ plugin, setUp: SHARED.map((name) => valueOf(plugin, name)) }));
      const chainOf = ({ plugin }: { plugin: PluginNode }) => plugin.text("chain");
      for (const [earlier, { plugin, setUp }] of again(mappers, chainOf)) {
        const differing = SHARED.find((_, i) => setUp[i] !== earlier.setUp[i]);
        if (!differing) continue;
        yield {
          source: plugin.document.source,
          at: plugin.field("chain"),
          message: `the chain ${
            quote(chainOf({ plugin })!)
          } has other ${differing} in ${earlier.plugin.document.source.path}`,
          help: "use a chain for each network, or the same settings",
        };
      }
    },
  },
  {
    code: "CNI305",
    name: "shared-leases",
    severity: "warning",
    title: "different ranges share one directory of leases",
    why:
      "host-local keeps its leases in dataDir/NETWORK. Two plugins that share the directory and have " +
      "different ranges take each other's last address for their own and give addresses away twice.",
    bad: { "a.conf": bridge(), "b.conf": bridge({ bridge: "cni1" }, { subnet: "10.2.0.0/16" }) },
    good: {
      "a.conf": bridge(),
      "b.conf": bridge({ bridge: "cni1" }, {
        subnet: "10.2.0.0/16",
        dataDir: "/var/lib/cni/second",
      }),
    },
    *ofDirectory(documents) {
      const plugins = documents.flatMap((document) => document.plugins);
      for (const [earlier, plugin] of again(plugins, leasesOf)) {
        if (spans(earlier) === spans(plugin)) continue;
        yield {
          source: plugin.document.source,
          at: field(plugin.ipam, "dataDir") ?? field(plugin.ipam, "type"),
          message: `the leases in ${leasesOf(plugin)} are also those of ${
            earlier.document === plugin.document
              ? "another plugin of this file"
              : earlier.document.source.path
          }, with other ranges`,
          help: 'give one of the two a "dataDir" of its own',
        };
      }
    },
  },
  {
    code: "CNI306",
    name: "default-bridge-shared",
    severity: "warning",
    title: "two networks share a bridge, since neither names one",
    why:
      'Without "bridge", the bridge plugin takes cni0: the containers of both networks are on one wire. ' +
      "Where both give it an address, that is CNI303.",
    bad: { "a.conf": unnamed("a", "10.1.0.0/16"), "b.conf": unnamed("b", "10.2.0.0/16") },
    good: { "a.conf": bridge({ name: "a", bridge: undefined }) },
    *ofDirectory(documents) {
      const [first, ...others] = documents.flatMap(({ plugins }) => plugins).filter(isUnnamed);
      for (const plugin of others) {
        if (plugin.document === first!.document || (first!.isGateway && plugin.isGateway)) continue;
        yield {
          source: plugin.document.source,
          at: plugin.typeNode,
          message: `without "bridge", the network is on cni0, as that of ${
            first!.document.source.path
          } is`,
          help: 'add "bridge": "…", a name of its own',
        };
      }
    },
  },
  {
    code: "CNI307",
    name: "taken-twice",
    severity: "warning",
    title: "two networks want one device, or one port of the host, for themselves",
    why:
      "host-device takes its device away from the host, macvlan in mode passthru has its master alone, and " +
      "the kernel puts either macvlan or ipvlan on a device. While a container of the one network lives, " +
      "none of the other can be attached. Port mappings in a file are those of every container of its network: " +
      "of two for one port, the kernel takes the first rule, and the port mapper refuses the second container.",
    bad: { "a.conf": device("a"), "b.conf": device("b") },
    good: { "a.conf": device("a") },
    *ofDirectory(documents) {
      const users = documents.flatMap(({ plugins }) => plugins).filter(useOf);
      for (const [earlier, plugin] of again(users, (one) => text(deviceOf(one)))) {
        const [use, other] = [useOf(plugin), useOf(earlier)];
        const areTogether = use === other && (use === "macvlan" || use === "ipvlan");
        if (plugin.document === earlier.document || areTogether) continue;
        yield {
          source: plugin.document.source,
          at: deviceOf(plugin),
          message: `${
            quote(deviceOf(plugin)!.value)
          } is for one network at a time, and ${other} of ${earlier.document.source.path} takes it too`,
          help: "use another device, or one network for both",
        };
      }
      yield* portsTwice(documents);
    },
  },
];

/** The directory of a plugin's leases, if it is host-local's. */
function leasesOf(plugin: PluginNode): string | undefined {
  const own = text(property(plugin.node, "name"));
  const name = plugin.role === "network" ? own : plugin.document.name ?? own;
  if (plugin.ipamType !== "host-local" || !name || plugin.role === "partial") return undefined;
  return join(text(field(plugin.ipam, "dataDir")) || "/var/lib/cni/networks", name);
}

/** What all port mappers of a chain must have in common. */
const SHARED = ["excludeDevices", "backend"];

interface Subnet {
  plugin: PluginNode;
  range: RangeNode;
  span: Prefix;
}

function* subnets(documents: readonly Document[]): Generator<Subnet> {
  for (const plugin of documents.flatMap((document) => document.plugins)) {
    for (const range of addressingOf(plugin).ranges) {
      if (range.subnet?.value) yield { plugin, range, span: range.subnet.value };
    }
  }
}

function inOrder(documents: readonly Document[], a: Subnet, b: Subnet): [Subnet, Subnet] {
  return documents.indexOf(a.plugin.document) <= documents.indexOf(b.plugin.document)
    ? [a, b]
    : [b, a];
}

/** Addresses of static that another network's host-local gives to somebody else. */
function* fixedInRanges(documents: readonly Document[]): Generator<FoundIn> {
  const ranges = [...subnets(documents)];
  for (const plugin of documents.flatMap((document) => document.plugins)) {
    for (const { address } of addressingOf(plugin).fixed.slice(0, 50)) {
      const other = address?.value &&
        ranges.find(({ plugin: { document }, range }) =>
          document !== plugin.document && contains(bounds(range)!, address.value!)
        );
      if (!other) continue;
      yield {
        source: plugin.document.source,
        at: address.node,
        message: `the network in ${other.plugin.document.source.path} gives ${
          showAddress(address.value!)
        } to its own containers`,
        help: "use an address outside the other network's range",
      };
    }
  }
}

/** Two networks may split one subnet of one bridge between them by disjoint ranges. */
function areApart(a: Subnet, b: Subnet): boolean {
  if (showNetwork(a.span) !== showNetwork(b.span)) return false;
  if (a.plugin.text("bridge") !== b.plugin.text("bridge")) return false;
  if (a.plugin.text("master") !== b.plugin.text("master")) return false;
  return !overlap(bounds(a.range)!, bounds(b.range)!);
}

interface Gateway {
  plugin: PluginNode;
  bridge: string;
  address: string;
}

/** host-local keeps the leases of two networks apart, and both give away the same subnet. */
function isLeaseTwice(a: Gateway, b: Gateway): boolean {
  return a.plugin.type === "flannel" && b.plugin.type === "flannel" && a.address === b.address &&
    a.plugin.document.name !== b.plugin.document.name;
}

/** The IPv4 addresses that bridge plugins give to their bridges, flannel's among them. */
function* gateways(documents: readonly Document[]): Generator<Gateway> {
  for (const plugin of documents.flatMap((document) => document.plugins)) {
    if (plugin.type === "flannel") yield* ofLease(plugin);
    if (plugin.type !== "bridge" || plugin.role === "partial") continue;
    if (!plugin.isGateway) continue;
    const bridge = plugin.text("bridge") || "cni0";
    const seen = new Set<number>();
    for (const range of addressingOf(plugin).ranges) {
      const gateway = gatewayOf(range);
      if (gateway?.family !== 4 || !range.subnet?.value) continue;
      // A set gives one address, from any of its ranges.
      if (seen.has(range.set)) continue;
      seen.add(range.set);
      yield { plugin, bridge, address: `${showAddress(gateway)}/${range.subnet.value.length}` };
    }
    for (const { address, gateway } of addressingOf(plugin).fixed) {
      if (address?.value?.family !== 4) continue;
      const value = gateway?.value ?? { family: 4, value: address.value.first + 1n };
      yield { plugin, bridge, address: `${showAddress(value)}/${address.value.length}` };
    }
  }
}

/** The bridge that flannel delegates to unless it is told otherwise gets the lease's gateway. */
function* ofLease(plugin: PluginNode): Generator<Gateway> {
  const delegate = plugin.field("delegate");
  const type = field(delegate, "type");
  const isGateway = field(delegate, "isGateway");
  if ((type && type.value !== "bridge") || (isGateway && !isTrue(isGateway))) return;
  const file = plugin.text("subnetFile") || "/run/flannel/subnet.env";
  const bridge = text(field(delegate, "bridge")) || "cni0";
  yield { plugin, bridge, address: `the gateway of the lease in ${file}` };
}

function valueOf(plugin: PluginNode, name: string): string {
  const node = plugin.field(name);
  const values = node?.type === "array"
    ? items(node).map((item) => item.value).sort()
    : node?.value;
  return JSON.stringify(values ?? null);
}

function spans(plugin: PluginNode): string {
  return addressingOf(plugin).ranges.map((range) => {
    const limits = bounds(range);
    return limits ? `${limits.first}-${limits.last}` : "?";
  }).sort().join(" ");
}

function isUnnamed(plugin: PluginNode): boolean {
  return plugin.type === "bridge" && plugin.role !== "partial" && !plugin.text("bridge");
}

function deviceOf(plugin: PluginNode): Node | undefined {
  return plugin.field(plugin.type === "host-device" ? "device" : "master");
}

/** What becomes of the device; undefined where others may have it as well. */
function useOf(plugin: PluginNode): string | undefined {
  const { type } = plugin;
  if (type !== "macvlan") return type === "host-device" || type === "ipvlan" ? type : undefined;
  return plugin.text("mode") === "passthru" ? "macvlan in mode passthru" : "macvlan";
}

function* portsTwice(documents: readonly Document[]): Generator<FoundIn> {
  const ports = documents.flatMap(({ plugins }) => plugins).flatMap((plugin) =>
    items(field(plugin.field("runtimeConfig"), "portMappings")).map((at) => ({
      source: plugin.document.source,
      at,
      port: ["hostPort", "protocol", "hostIP"].map((key) => field(at, key)?.value)
        .filter(Boolean).join("/"),
    }))
  );
  for (const [earlier, { source, at, port }] of again(ports, ({ port }) => port || undefined)) {
    yield {
      source,
      at: field(at, "hostPort") ?? at,
      severity: "error",
      message: `the port ${port} of the host is mapped ${
        earlier.source === source ? "here" : `in ${earlier.source.path}`
      } already`,
      help: "map another port, or leave the mappings to the runtime",
    };
  }
}
