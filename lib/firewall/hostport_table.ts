/** The tables of the reference's portmap with its nftables backend: rules that end with their container's id. */
import { deleteRule } from "../nft/changes.ts";
import { Rules } from "../nft/rules.ts";
import type { FirewallChange } from "./view.ts";

export const HOSTPORT_TABLE = "cni_hostport";
/** Where its rules that lead to containers are. */
export const HOSTPORT_CHAINS = ["hostports", "hostip_hostports"];
const CHAINS = [...HOSTPORT_CHAINS, "masquerading"];

export function removeTablePorts(containerId: string): FirewallChange[] {
  return (["ip", "ip6"] as const).flatMap((family) => {
    const rules = new Rules(family);
    if (!rules.hasTable(HOSTPORT_TABLE)) return [];
    return CHAINS.flatMap((chain) => rules.withComment(HOSTPORT_TABLE, chain, [containerId]))
      .map((rule) => ({ nft: deleteRule(family, rule) }));
  });
}
