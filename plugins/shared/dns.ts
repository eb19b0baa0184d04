/** `dns` of a config, as it goes into the result. */
import type { Dns } from "../../lib/cni/result.ts";
import type { Fields } from "../../lib/cni/fields.ts";

/** @throws {CniError} */
export function readDns(fields: Fields): Dns {
  const found = fields.object("dns");
  const dns: Dns = {};
  for (const key of ["nameservers", "search", "options"] as const) {
    const list = found?.texts(key) ?? [];
    if (list.length > 0) dns[key] = list;
  }
  const domain = found?.text("domain");
  if (domain) dns.domain = domain;
  return dns;
}

/** Whether a config names any of it, also as an empty list: then it replaces the IPAM plugin's. */
export function setsDns(fields: Fields): boolean {
  const dns = fields.object("dns");
  return dns !== undefined &&
    (["nameservers", "search", "options"].some((key) => dns.has(key)) || !!dns.text("domain"));
}
