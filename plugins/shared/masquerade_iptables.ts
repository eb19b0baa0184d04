/** Masquerading in the tables of iptables-nft: a chain for each container, over netlink. */
import { type IptablesChange, IptablesTables } from "../../lib/nft/iptables_tables.ts";
import {
  type IptablesRule,
  network as networkMatch,
  ruleText,
} from "../../lib/nft/iptables_rule.ts";
import { isV6, withoutLength } from "./addresses.ts";
import { chainName, ruleComment } from "./names.ts";
import type { Call } from "./standard_plugin.ts";

const FAMILIES = [4, 6] as const;
/** Containers may reach others of their network by multicast as who they are. */
const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** @throws {SystemError} */
export async function addIptablesMasquerade(
  { network, containerId }: Pick<Call, "network" | "containerId">,
  addresses: readonly string[],
): Promise<void> {
  const chain = await chainName(network, containerId);
  const comment = ruleComment(network, containerId);
  for (const family of FAMILIES) {
    const own = addresses.filter((address) => isV6(address) === (family === 6));
    if (own.length === 0) continue;
    const tables = new IptablesTables(family);
    tables.change(() => {
      const isNew = !tables.rules.hasChain("nat", chain);
      const wanted = own.flatMap((address): [string, IptablesRule][] => [
        [chain, { destination: networkMatch(address), comment, target: { verdict: "ACCEPT" } }],
        [chain, {
          destination: networkMatch(MULTICAST[family], true),
          comment,
          target: { masquerade: true },
        }],
        ["POSTROUTING", {
          source: networkMatch(`${withoutLength(address)}/${family === 4 ? 32 : 128}`),
          comment,
          target: { jump: chain },
        }],
      ]);
      // Several addresses of a family share the rule about multicast.
      const once = [
        ...new Map(wanted.map((one) => [`${one[0]} ${ruleText(one[1])}`, one])).values(),
      ];
      const missing = isNew
        ? once
        : once.filter(([where, rule]) => tables.find("nat", where, rule).length === 0);
      return [
        ...isNew ? [{ add: "chain", table: "nat", chain } as const] : [],
        ...missing.map(([where, rule]): IptablesChange => ({
          add: "rule",
          table: "nat",
          chain: where,
          rule,
        })),
      ];
    }, `masquerade container ${containerId}`);
  }
}

/** Whether a container's chain has rules, in any family. @throws {SystemError} */
export async function hasIptablesMasquerade(
  { network, containerId }: Pick<Call, "network" | "containerId">,
): Promise<boolean> {
  const chain = await chainName(network, containerId);
  return FAMILIES.some((family) => {
    const { rules } = new IptablesTables(family);
    return rules.hasChain("nat", chain) && rules.count("nat", chain) > 0;
  });
}

/** @throws {SystemError} */
export async function removeIptablesMasquerade(
  { network, containerId }: Pick<Call, "network" | "containerId">,
): Promise<void> {
  const chain = await chainName(network, containerId);
  const comment = ruleComment(network, containerId);
  for (const family of FAMILIES) {
    const tables = new IptablesTables(family);
    tables.change(() => {
      if (!tables.rules.hasChain("nat", chain)) return [];
      return [
        ...tables.rules.withComment("nat", "POSTROUTING", [comment])
          .map((rule) => ({ delete: "rule", rule } as const)),
        { flush: "chain", table: "nat", chain },
        { delete: "chain", table: "nat", chain },
      ];
    }, `masquerade container ${containerId} no more`);
  }
}
