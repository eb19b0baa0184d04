/** The kernel's numbers under the names that `ip` prints (linux/rtnetlink.h). */

const SCOPES: Readonly<Record<number, string>> = {
  0: "global",
  200: "site",
  253: "link",
  254: "host",
  255: "nowhere",
};

const TABLES: Readonly<Record<number, string>> = { 253: "default", 254: "main", 255: "local" };

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "redirect",
  2: "kernel",
  3: "boot",
  4: "static",
  8: "gated",
  9: "ra",
  10: "mrt",
  11: "zebra",
  12: "bird",
  13: "dnrouted",
  14: "xorp",
  15: "ntk",
  16: "dhcp",
  18: "keepalived",
  42: "babel",
  186: "bgp",
  187: "isis",
  188: "ospf",
  189: "rip",
  192: "eigrp",
};

const ROUTE_TYPES = [
  "none",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "nat",
  "xresolve",
] as const;

export const scopeName = (scope: number): string => SCOPES[scope] ?? String(scope);
export const tableName = (table: number): string => TABLES[table] ?? String(table);
export const protocolName = (protocol: number): string => PROTOCOLS[protocol] ?? String(protocol);
export const routeTypeName = (type: number): string => ROUTE_TYPES[type] ?? String(type);

export const scopeNumber = (name: string): number => numberOf(SCOPES, name);
export const tableNumber = (name: string): number => numberOf(TABLES, name);

function numberOf(names: Readonly<Record<number, string>>, name: string): number {
  return Number(Object.keys(names).find((number) => names[Number(number)] === name) ?? name);
}
