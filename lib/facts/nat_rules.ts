/** Rules of the nat tables of a host, wherever its built-in chains lead. */
import { FAMILIES } from "../base/ip.ts";
import { type FoundRule, jumpOf } from "../firewall/rule.ts";
import type { FirewallView } from "../firewall/view.ts";

/** The nat rules of the host, with the chains that the built-in ones lead to. */
export function natRules(views: readonly FirewallView[], ...chains: string[]): FoundRule[] {
  return views.flatMap((view) =>
    FAMILIES.flatMap((family) => {
      const entered = new Set<string>();
      const walk = (chain: string): FoundRule[] => {
        if (entered.has(chain)) return [];
        entered.add(chain);
        return view.rules({ family, table: "nat", chain }).flatMap((rule) => {
          const to = jumpOf(rule);
          return [rule, ...to === undefined ? [] : walk(to)];
        });
      };
      return chains.flatMap(walk);
    })
  );
}
