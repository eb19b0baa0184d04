/** The tables of the reference's portmap with its nftables backend: rules that end with their container's id. */
import { deleteRule } from "../nft/changes.ts";
import { Rules } from "../nft/rules.ts";
import type { FirewallChange } from "./view.ts";

const TABLE = "cni_hostport";
const CHAINS = ["hostports", "hostip_hostports", "masquerading"];

export function removeTablePorts(containerId: string): FirewallChange[] {
  return (["ip", "ip6"] as const).flatMap((family) => {
    const rules = new Rules(family);
    if (!rules.hasTable(TABLE)) return [];
    return CHAINS.flatMap((chain) => rules.withComment(TABLE, chain, [containerId]))
      .map((rule) => ({ nft: deleteRule(family, rule) }));
  });
}
