/** Routes and routing rules (RTM_NEWROUTE, RTM_NEWRULE; linux/rtnetlink.h, linux/fib_rules.h). */
import { addressBytes } from "../base/ip.ts";
import { addressFamilyOf, AF_INET, AF_INET6 } from "../kernel/socket.ts";
import {
  addressOf,
  attribute,
  Attributes,
  fixedPart,
  malformed,
  type Message,
  opened,
  structure,
  u32,
  view,
} from "./message.ts";
import { protocolName, routeTypeName, scopeName, tableName } from "./names.ts";
import { FRA, RTA, RTAX, RTMSG_BYTES } from "./numbers.ts";

/** A route. */
export type Route = ReturnType<typeof decodeRouteEntry>;

export type NextHop = ReturnType<typeof decodeHops>[number];

/** A rule that chooses the routing table. */
export type Rule = NonNullable<ReturnType<typeof decodeRule>>;

/** What a policy rule may ask for besides addresses and links. */
export interface Flow {
  /** The number of the transport protocol. */
  protocol: number;
  sourcePort: number;
  destinationPort: number;
}

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const RTNEXTHOP_BYTES = 8;
const RTM_F_CLONED = 0x200;
/**
 * In a question: of which table the route is. Without it IPv4 says `main` of all; IPv6 always says it, and
 * refuses the flag once a socket is strict (`inet6_rtm_valid_getroute_req`).
 */
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTM_F_FIB_MATCH = 0x2000;

/** Flags of a next hop (RTNH_F_*). */
const HOP_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x1, "dead"],
  [0x4, "onlink"],
  [0x2, "pervasive"],
  [0x8, "offload"],
  [0x40, "trap"],
  [0x10, "linkdown"],
  [0x20, "unresolved"],
];

const FIB_RULE_INVERT = 2;
const ACTIONS = [
  "unspec",
  "lookup",
  "goto",
  "nop",
  "reserved",
  "reserved",
  "blackhole",
  "unreachable",
  "prohibit",
];

/**
 * Decodes a message RTM_NEWROUTE (struct rtmsg and attributes); undefined for an entry that the
 * kernel only keeps as a cache, for multicast routing, and for a route of IPv6 whose time is over: it stays in
 * its table for a while, and no packet goes by it (`fib6_check_expired`).
 */
export function decodeRoute(message: Message): Route | undefined {
  const header = fixedPart(message.body, RTMSG_BYTES);
  const flags = header.getUint32(8, true);
  if (flags & RTM_F_CLONED || !isIp(header.getUint8(0))) return undefined;
  const [, attributes] = opened(message.body, RTMSG_BYTES);
  // struct rta_cacheinfo: what is left, below 0 of one that has expired.
  const cache = attributes.bytes(RTA.CACHEINFO);
  const isExpired = cache && cache.length >= 12 && view(cache).getInt32(8, true) < 0;
  return isExpired ? undefined : decodeRouteEntry(message);
}

/** As {@link decodeRoute}, for the answer to a question, which is such a cache entry. */
export function decodeRouteEntry(message: Message) {
  const [header, attributes] = opened(message.body, RTMSG_BYTES);
  const family = familyName(header.getUint8(0));
  const metrics = attributes.nested(RTA.METRICS);
  const hops = attributes.bytes(RTA.MULTIPATH);
  return {
    family,
    /** With prefix length; `default` for all. */
    destination: prefix(attributes.bytes(RTA.DST), header.getUint8(1), family, "default"),
    /** `unicast`, `local`, `broadcast`, `blackhole`, … */
    type: routeTypeName(header.getUint8(7)),
    /** `main`, `local`, or a number. */
    table: tableName(attributes.u32(RTA.TABLE) ?? header.getUint8(4)),
    gateway: gatewayOf(attributes),
    /** Index of the interface that packets leave by. */
    link: attributes.u32(RTA.OIF),
    /** The address that this host's own packets have as their source. */
    source: attributes.address(RTA.PREFSRC),
    /** The lower, the earlier; `metric` of `ip route`. */
    metric: attributes.u32(RTA.PRIORITY),
    /** In bytes, where the route sets it. */
    mtu: metrics.u32(RTAX.MTU),
    protocol: protocolName(header.getUint8(5)),
    scope: scopeName(header.getUint8(6)),
    /** `onlink`, `linkdown`, `dead`, … */
    flags: flagNames(header.getUint32(8, true)),
    /** The next hops of a multipath route, which has no `gateway` and `link` of its own. */
    hops: hops && decodeHops(hops),
  };
}

/** What asks for the route of a packet: see `Netlink.routeTo`. */
export function routeQuestion(
  destination: string,
  from?: { source: string; inputLink: number },
  flow?: Flow,
): Uint8Array[] {
  const bytes = addressBytes(destination);
  const bits = bytes.length * 8;
  const family = addressFamilyOf(destination);
  const flags = family === AF_INET ? RTM_F_LOOKUP_TABLE : 0;
  return [
    structure(RTMSG_BYTES, [0, family, 1], [1, bits, 1], [2, from ? bits : 0, 1], [8, flags, 4]),
    attribute(RTA.DST, bytes),
    ...from
      ? [
        attribute(RTA.SRC, addressBytes(from.source)),
        attribute(RTA.IIF, u32(from.inputLink)),
      ]
      : [],
    ...flow ? flowAttributes(flow) : [],
  ];
}

/** What asks for the entry of a table that matches: see `Netlink.routeEntryTo`. */
export function entryQuestion(...packet: Parameters<typeof routeQuestion>): Uint8Array[] {
  const [header, ...rest] = routeQuestion(...packet) as [Uint8Array, ...Uint8Array[]];
  const flags = view(header);
  flags.setUint32(8, flags.getUint32(8, true) | RTM_F_FIB_MATCH, true);
  return [header, ...rest];
}

/** A flow, for a question about its route. The kernel knows ports of TCP and UDP alone. */
function flowAttributes({ protocol, sourcePort, destinationPort }: Flow): Uint8Array[] {
  const port = (number: number) => new Uint8Array([number >> 8, number & 0xff]);
  return [
    attribute(RTA.IP_PROTO, new Uint8Array([protocol])),
    ...protocol === IPPROTO_TCP || protocol === IPPROTO_UDP
      ? [attribute(RTA.SPORT, port(sourcePort)), attribute(RTA.DPORT, port(destinationPort))]
      : [],
  ];
}

function* eachHop(bytes: Uint8Array): Generator<Uint8Array> {
  let rest = bytes;
  while (rest.length >= RTNEXTHOP_BYTES) {
    const length = view(rest).getUint16(0, true);
    if (length < RTNEXTHOP_BYTES || length > rest.length) {
      throw malformed(`a next hop of ${length} bytes in ${rest.length}`);
    }
    yield rest.subarray(0, length);
    rest = rest.subarray((length + 3) & ~3);
  }
}

/** Decodes struct rtnexthop, one after another. */
function decodeHops(bytes: Uint8Array) {
  return Array.from(eachHop(bytes), (hop) => ({
    gateway: gatewayOf(new Attributes(hop.subarray(RTNEXTHOP_BYTES))),
    link: view(hop).getInt32(4, true),
    weight: view(hop).getUint8(3) + 1,
    flags: flagNames(view(hop).getUint8(2)),
  }));
}

/**
 * Decodes a message RTM_NEWRULE (struct fib_rule_hdr and attributes); undefined for a rule of
 * multicast routing, which the kernel lists with the rest.
 */
export function decodeRule(message: Message) {
  const [header, attributes] = opened(message.body, RTMSG_BYTES);
  if (!isIp(header.getUint8(0))) return undefined;
  const family = familyName(header.getUint8(0));
  const action = header.getUint8(7);
  const mark = attributes.u32(FRA.FWMARK);
  const mask = attributes.u32(FRA.FWMASK) ?? 0xffffffff;
  const table = attributes.u32(FRA.TABLE) ?? header.getUint8(4);
  // The kernel says -1 for none.
  const suppressed = (attributes.u32(FRA.SUPPRESS_PREFIXLEN) ?? -1) | 0;
  return {
    family,
    priority: attributes.u32(FRA.PRIORITY) ?? 0,
    /** With prefix length; `all` for any. */
    from: prefix(attributes.bytes(FRA.SRC), header.getUint8(2), family, "all"),
    to: prefix(attributes.bytes(FRA.DST), header.getUint8(1), family, "all"),
    inputLink: attributes.text(FRA.IIFNAME),
    outputLink: attributes.text(FRA.OIFNAME),
    /** As `value/mask` in hexadecimal. */
    mark: mark ? `0x${mark.toString(16)}/0x${mask.toString(16)}` : undefined,
    /** Of the table, routes of a prefix so short are passed over (suppress_prefixlength). */
    suppressed: suppressed < 0 ? undefined : suppressed,
    /** The number of the transport protocol, such as 17. */
    protocol: attributes.u8(FRA.IP_PROTO),
    /** First and last of a range. */
    sourcePorts: ports(attributes.bytes(FRA.SPORT_RANGE)),
    destinationPorts: ports(attributes.bytes(FRA.DPORT_RANGE)),
    /** The table; absent for a rule that does not look one up (`action`). */
    table: action === 1 ? tableName(table) : undefined,
    /** `lookup`, `goto`, `blackhole`, `unreachable`, `prohibit`, … */
    action: ACTIONS[action] ?? String(action),
    inverted: (header.getUint32(8, true) & FIB_RULE_INVERT) !== 0,
  };
}

/** struct fib_rule_port_range, in the machine's own order. */
function ports(bytes: Uint8Array | undefined): [number, number] | undefined {
  if (!bytes || bytes.length < 4) return undefined;
  return [view(bytes).getUint16(0, true), view(bytes).getUint16(2, true)];
}

function isIp(family: number): boolean {
  return family === AF_INET || family === AF_INET6;
}

function familyName(family: number): "inet" | "inet6" {
  return family === AF_INET6 ? "inet6" : "inet";
}

function prefix(
  address: Uint8Array | undefined,
  length: number,
  family: "inet" | "inet6",
  all: string,
): string {
  if (!address) return length === 0 ? all : `${family === "inet" ? "0.0.0.0" : "::"}/${length}`;
  return `${addressOf(address)}/${length}`;
}

/** RTA_GATEWAY, or RTA_VIA (struct rtvia) for a gateway of the other family. */
function gatewayOf(attributes: Attributes): string | undefined {
  const via = attributes.bytes(RTA.VIA);
  return attributes.address(RTA.GATEWAY) ?? (via && addressOf(via.subarray(2)));
}

function flagNames(flags: number): string[] {
  return HOP_FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name);
}
