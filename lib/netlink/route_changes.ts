/** Adding and deleting routes (RTM_NEWROUTE, RTM_DELROUTE; linux/rtnetlink.h). */
import { addressText } from "../base/ip.ts";
import { addressFamilyOf } from "../kernel/socket.ts";
import { type Change, changing, making } from "./change.ts";
import {
  attribute,
  eachAttribute,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  structure,
  u32,
} from "./message.ts";
import type { InterfaceAddress } from "./address_changes.ts";
import { RTA, RTM, RTMSG_BYTES } from "./numbers.ts";

/** What a listed route is made of; the rest is the kernel's own bookkeeping. */
const OWN_ATTRIBUTES = [1, 4, 5, 6, 7, RTA.METRICS, RTA.TABLE, RTA.VIA];
const RTNH_F_ONLINK = 4;
const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;

/** Scopes of a route (enum rt_scope_t). */
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

/** A route through one interface. */
export interface NewRoute {
  /** A prefix length of 0: the default route of its family. */
  destination: InterfaceAddress;
  /** Index of the interface. */
  link: number;
  /** 4 or 16 bytes. */
  gateway?: Uint8Array;
  /** The address that this host's own packets have as their source. */
  source?: Uint8Array;
  scope?: number;
  /** The metric: the lower, the earlier. */
  priority?: number;
  table?: number;
  /** RTPROT_*, who made it. */
  protocol?: number;
}

/** Adds a route. The kernel's `EEXIST`: there is one to that destination. */
export function addRoute(route: NewRoute): Change {
  return making(RTM.NEWROUTE, `add the route ${show(route)}`, parts(route, RTPROT_BOOT));
}

/** Adds a route, or another next hop of one of IPv6 that is there. */
export function addRouteOrHop(route: NewRoute): Change {
  return { ...addRoute(route), flags: NLM_F_CREATE };
}

/** Adds a route in place of one to that destination. */
export function replaceRoute(route: NewRoute): Change {
  return { ...addRoute(route), flags: NLM_F_CREATE | NLM_F_REPLACE };
}

/** Deletes a route. The kernel's `ESRCH`: there is none. */
export function deleteRoute(route: NewRoute): Change {
  return changing(RTM.DELROUTE, `delete the route ${show(route)}`, parts(route, 0));
}

/** Puts a route as the kernel listed it into another table, in place of one that is there. */
export function copyRoute(listed: Uint8Array, table: number): Change {
  const copied = changing(
    RTM.NEWROUTE,
    `copy a route to table ${table}`,
    listedParts(listed, { table }),
  );
  return { ...copied, flags: NLM_F_CREATE | NLM_F_REPLACE };
}

/** Adds a route as the kernel listed it, through another interface, unless it is there. */
export function moveRoute(listed: Uint8Array, link: number): Change {
  return {
    ...making(RTM.NEWROUTE, "move a route", listedParts(listed, { link })),
    unless: "EEXIST",
  };
}

/** Deletes a route as the kernel listed it. */
export function deleteListedRoute(listed: Uint8Array): Change {
  return changing(RTM.DELROUTE, "delete a route", listedParts(listed, {}));
}

function listedParts(
  listed: Uint8Array,
  { table, link }: { table?: number; link?: number },
): Uint8Array[] {
  const header = listed.slice(0, RTMSG_BYTES);
  // Flags such as linkdown are told, and refused when they are asked for.
  const isOnLink = header[8]! & RTNH_F_ONLINK;
  header.fill(0, 8);
  header[8] = isOnLink;
  const others = new Map(table === undefined ? [] : [[RTA.TABLE, u32(table)]]);
  if (table !== undefined) header[4] = table < 256 ? table : RT_TABLE_UNSPEC;
  if (link !== undefined) others.set(RTA.OIF, u32(link));
  return [
    header,
    ...[...eachAttribute(listed.subarray(RTMSG_BYTES))]
      .filter(([type]) => OWN_ATTRIBUTES.includes(type))
      .map(([type, value]) => attribute(type, others.get(type) ?? value)),
  ];
}

function parts(route: NewRoute, protocol: number): Uint8Array[] {
  const { destination: { bytes, prefixLength }, gateway, source, priority } = route;
  const table = route.table || RT_TABLE_MAIN;
  return [
    structure(
      RTMSG_BYTES,
      [0, addressFamilyOf(bytes), 1],
      [1, prefixLength, 1],
      [4, table < 256 ? table : RT_TABLE_UNSPEC, 1],
      [5, route.protocol ?? protocol, 1],
      [6, route.scope ?? RT_SCOPE_UNIVERSE, 1],
      [7, protocol === 0 ? 0 : RTN_UNICAST, 1],
    ),
    attribute(RTA.DST, bytes),
    ...gateway ? [attribute(RTA.GATEWAY, gateway)] : [],
    ...source ? [attribute(RTA.PREFSRC, source)] : [],
    ...table < 256 ? [] : [attribute(RTA.TABLE, u32(table))],
    ...priority ? [attribute(RTA.PRIORITY, u32(priority))] : [],
    attribute(RTA.OIF, u32(route.link)),
  ];
}

function show({ destination: { bytes, prefixLength }, gateway }: NewRoute): string {
  return `to ${addressText(bytes)}/${prefixLength}` +
    (gateway ? ` via ${addressText(gateway)}` : "");
}
