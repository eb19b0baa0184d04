/** Fields of every plugin's config (specification section 1; types.NetConf of libcni). */
import {
  any,
  boolean,
  type Fields,
  integer,
  list,
  map,
  object,
  string,
  type Type,
} from "../schema.ts";

/** Largest int of the plugins, 64 bits, as far as a JSON number in JavaScript holds it. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;

export const DNS: Fields = {
  nameservers: list(string),
  domain: string,
  search: list(string),
  options: list(string),
};

/** A route of an IPAM plugin (types.Route); table, scope and the sizes since plugins 1.5. */
export const ROUTE: Fields = {
  dst: string,
  gw: string,
  mtu: integer(0, MAX_INT),
  advmss: integer(0, MAX_INT),
  priority: integer(0, 0xffffffff),
  table: integer(0, 0xffffffff),
  scope: integer(0, 255),
};

export const COMMON: Fields = {
  cniVersion: string,
  cniVersions: list(string),
  name: string,
  type: string,
  args: any,
  capabilities: map(boolean),
  dns: object(DNS),
  ipam: object({ type: string }),
  runtimeConfig: any,
  prevResult: any,
  "cni.dev/valid-attachments": any,
};

/** 0 leaves the size to the kernel; IPv4 takes at least 68 bytes, a virtual link at most 65535. */
export const MTU = integer(68, 65535, true);

/** bridge and ptp pass a negative number over. */
export const VETH_MTU: Type = { ...MTU, ignoresNegative: true };
