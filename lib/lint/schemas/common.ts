/** Fields of every plugin's config (specification section 1; types.NetConf of libcni). */
import * as t from "../schema.ts";
import { nameserver } from "./text.ts";

/** Largest int of the plugins, 64 bits, as far as a JSON number in JavaScript holds it. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;

export const DNS: t.Fields = {
  nameservers: t.list(nameserver),
  domain: t.string,
  search: t.list(t.string),
  options: t.list(t.string),
};

/** A route of an IPAM plugin (types.Route); table, scope and the sizes since plugins 1.5. */
export const ROUTE: t.Fields = {
  dst: t.string,
  gw: t.string,
  mtu: t.integer(0, MAX_INT),
  advmss: t.integer(0, MAX_INT),
  priority: t.integer(0, 0xffffffff),
  table: t.integer(0, 0xffffffff),
  scope: t.integer(0, 255),
};

export const COMMON: t.Fields = {
  cniVersion: t.string,
  cniVersions: t.list(t.string),
  name: t.string,
  type: t.string,
  args: t.any,
  capabilities: t.map(t.boolean),
  dns: t.object(DNS),
  ipam: t.object({ type: t.string }),
  runtimeConfig: t.any,
  prevResult: t.any,
  "cni.dev/valid-attachments": t.any,
};

/** 0 leaves the size to the kernel; IPv4 takes at least 68 bytes, a virtual link at most 65535. */
export const MTU = t.integer(68, 65535, true);

/** bridge and ptp pass a negative number over. */
export const VETH_MTU: t.Type = { ...MTU, ignoresNegative: true };
