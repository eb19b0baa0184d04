/** The addresses in a plugin's `ipam`: ranges to allocate from, fixed addresses, routes. */
import type { Node } from "jsonc-parser";
import { onceEach } from "../base/once_each.ts";
import { type Address, parseAddress, parsePrefix, type Prefix, type Span } from "../base/prefix.ts";
import type { PluginNode } from "./document.ts";
import { field, isTrue, items, text } from "./tree.ts";

/** A field that holds an address or a prefix, with what could be made of it. */
export interface Field<T> {
  node: Node;
  /** Undefined if the text is none, which a rule of its own reports. */
  value: T | undefined;
}

/** A range of host-local: the fields of `ipam` itself, or of an item of `ranges`. */
export interface RangeNode {
  node: Node;
  subnet?: Field<Prefix>;
  start?: Field<Address>;
  end?: Field<Address>;
  gateway?: Field<Address>;
  /** Of `ipam.ranges`: the index of its set; -1 for the range in `ipam` itself. */
  set: number;
}

/** An item of `addresses` of static. */
export interface FixedNode {
  node: Node;
  address?: Field<Prefix>;
  gateway?: Field<Address>;
}

export interface RouteNode {
  node: Node;
  dst?: Field<Prefix>;
  gw?: Field<Address>;
}

export interface Addressing {
  /** host-local's ranges, outer list by set. */
  ranges: RangeNode[];
  /** Addresses beside "ranges", where no subnet belongs to them; host-local parses them all the same. */
  stray: Field<Address>[];
  fixed: FixedNode[];
  routes: RouteNode[];
}

/** What containers' addresses are of, in ranges and fixed ones, each with the gateway beside it. */
export function prefixesOf(plugin: PluginNode) {
  const { ranges, fixed } = addressingOf(plugin);
  return [
    ...ranges.map(({ subnet, gateway }) => ({ prefix: subnet, gateway, isRange: true })),
    ...fixed.map(({ address, gateway }) => ({ prefix: address, gateway, isRange: false })),
  ];
}

/** The addresses of a plugin's `ipam`. */
export const addressingOf = onceEach(readAddressing);

/**
 * Reads `ipam` of host-local and static, whose addresses are in the file.
 * https://www.cni.dev/plugins/current/ipam/host-local/, …/static/
 */
function readAddressing(plugin: PluginNode): Addressing {
  const { ipam, ipamType } = plugin;
  const addressing: Addressing = { ranges: [], stray: [], fixed: [], routes: [] };
  for (const node of items(field(ipam, "routes"))) {
    if (node.type === "object") {
      addressing.routes.push({ node, dst: prefix(node, "dst"), gw: address(node, "gw") });
    }
  }
  if (ipamType === "host-local") {
    if (field(ipam, "subnet")) addressing.ranges.push(range(ipam!, -1));
    else if (ipam) {
      const { start, end, gateway } = range(ipam, -1);
      addressing.stray.push(...[start, end, gateway].filter((one) => one !== undefined));
    }
    items(field(ipam, "ranges")).forEach((set, i) => {
      for (const node of items(set)) {
        if (node.type === "object") addressing.ranges.push(range(node, i));
      }
    });
  }
  if (ipamType === "static") {
    for (const node of items(field(ipam, "addresses"))) {
      if (node.type !== "object") continue;
      addressing.fixed.push({
        node,
        address: prefix(node, "address"),
        gateway: address(node, "gateway"),
      });
    }
  }
  return addressing;
}

function range(node: Node, set: number): RangeNode {
  return {
    node,
    set,
    subnet: prefix(node, "subnet"),
    start: address(node, "rangeStart"),
    end: address(node, "rangeEnd"),
    gateway: address(node, "gateway"),
  };
}

/** Calico's words for "the subnet that Kubernetes gave to this node". */
const SUBNET_OF_NODE = /^usePodCidr(IPv6)?$/;

/** Go's net.IP: an empty string is as good as none. */
function address(object: Node, key: string): Field<Address> | undefined {
  const node = field(object, key);
  const value = text(node);
  return node && value ? { node, value: parseAddress(value) } : undefined;
}

/** A prefix; unlike an address, it can't be empty. */
function prefix(object: Node, key: string): Field<Prefix> | undefined {
  const node = field(object, key);
  const value = text(node);
  if (!node || value === undefined || SUBNET_OF_NODE.test(value)) return undefined;
  return { node, value: parsePrefix(value) };
}

/** What host-local makes of a range: the addresses it may give away. */
export function bounds(range: RangeNode): Span | undefined {
  const subnet = range.subnet?.value;
  if (!subnet) return undefined;
  // Without bounds: from the first host to the last, which in IPv4 is before the broadcast address.
  const first = range.start?.value?.value ?? subnet.first + 1n;
  const last = range.end?.value?.value ?? (subnet.family === 4 ? subnet.last - 1n : subnet.last);
  return { family: subnet.family, first, last };
}

/** The gateway of a range: host-local takes the first host if none is given. */
export function gatewayOf(range: RangeNode): Address | undefined {
  const subnet = range.subnet?.value;
  if (range.gateway) return range.gateway.value;
  return subnet && { family: subnet.family, value: subnet.first + 1n };
}

/** Whether the plugin sets a route of the family that goes through the network's gateway. */
export function usesGateway(plugin: PluginNode, family: 4 | 6): boolean {
  if (plugin.isTrue("isDefaultGateway")) return true;
  return addressingOf(plugin).routes.some(({ dst, gw }) => !gw && dst?.value?.family === family);
}

/** Whether the runtime may hand in addresses that the file doesn't have. */
export function isPromised(plugin: PluginNode, capability: string): boolean {
  return isTrue(field(plugin.field("capabilities"), capability)) ||
    plugin.field("runtimeConfig") !== undefined;
}
