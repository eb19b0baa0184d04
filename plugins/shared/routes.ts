/** Routes of a config (`ipam.routes`), as they go into the result. */
import type { Route } from "../../lib/cni/result.ts";
import { showAddress } from "../../lib/base/prefix.ts";
import type { Fields } from "../../lib/cni/fields.ts";

/** @throws {CniError} */
export function readRoutes(fields: Fields): Route[] {
  return fields.objects("routes").map((route) => {
    const dst = route.prefix("dst") ?? route.fail("dst", "in CIDR notation (a.b.c.d/n)");
    const entry: Route = { dst: `${showAddress(dst)}/${dst.length}` };
    const gw = route.address("gw");
    if (gw !== undefined) entry.gw = gw;
    for (const key of ["mtu", "advmss", "priority"] as const) {
      const value = route.integer(key);
      if (value) entry[key] = value;
    }
    for (const key of ["table", "scope"] as const) {
      const value = route.integer(key);
      if (value !== undefined) entry[key] = value;
    }
    return entry;
  });
}
