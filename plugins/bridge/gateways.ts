/** Gateways and default routes that the bridge adds to what the IPAM plugin gave. */
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { parsePrefix, showAddress } from "../../lib/base/prefix.ts";
import { prefixOf } from "../shared/addresses.ts";
import type { BridgeConfig } from "./config.ts";

export interface Gateways {
  /** With each its gateway, which is the first address of its network if nobody said. */
  ips: IpConfig[];
  routes: Result["routes"];
  /** What the bridge must have, in CIDR notation. */
  addresses: string[];
}

export function planGateways(
  { ips, routes }: Pick<Result, "ips" | "routes">,
  { isGateway, isDefaultGateway }: BridgeConfig,
): Gateways {
  const plan: Gateways = { ips: [], routes: [...routes], addresses: [] };
  for (const ip of ips) {
    const { family, first, length } = prefixOf(ip.address);
    const gateway = ip.gateway ??
      (isGateway ? showAddress({ family, value: first + 1n }) : undefined);
    plan.ips.push({ ...ip, interface: 2, ...gateway === undefined ? {} : { gateway } });
    if (isGateway) plan.addresses.push(`${gateway}/${length}`);
    const all = family === 4 ? "0.0.0.0/0" : "::/0";
    // A default route that names no gateway goes by this one anyway.
    const isThere = plan.routes.some(({ dst }) => isDefault(dst, family));
    if (isDefaultGateway && !isThere) plan.routes.push({ dst: all, gw: gateway });
  }
  return plan;
}

function isDefault(dst: string, family: 4 | 6): boolean {
  const prefix = parsePrefix(dst);
  return prefix?.family === family && prefix.length === 0 && prefix.value === 0n;
}
