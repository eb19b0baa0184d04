/**
 * IPAM plugins: the fields of `ipam`. Facts from https://www.cni.dev/plugins/current/ipam/ and
 * from the configs that containernetworking/plugins 1.1 to 1.10 decode.
 */
import * as t from "../schema.ts";
import { DNS, ROUTE } from "./common.ts";

/** What addresses are is a matter of the address rules; here they are strings. */
const RANGE: t.Fields = t.each(t.string, "subnet rangeStart rangeEnd gateway");
const ADDRESS = t.object(t.each(t.string, "address gateway version"), ["address"]);
const ROUTES = t.list(t.object(ROUTE, ["dst"]));

export const IPAM: t.Schemas = {
  "host-local": t.standard("ipam", "own", {
    ...RANGE,
    ...t.each(t.string, "name type dataDir resolvConf"),
    routes: ROUTES,
    ranges: t.list(t.list(t.object(RANGE))),
  }),
  static: t.standard("ipam", "own", {
    ...t.each(t.string, "name type"),
    routes: ROUTES,
    addresses: t.list(ADDRESS),
    dns: t.object(DNS),
  }),
  dhcp: t.standard("ipam", "own", {
    ...t.each(t.string, "type daemonSocketPath"),
    provide: t.list(t.object({ option: t.any, value: t.string, fromArg: t.string })),
    request: t.list(t.object({ option: t.any, skipDefault: t.boolean })),
    priority: t.integer(0, 0xffffffff),
  }),
};
