/** What a network's last mapping leaves on purpose, for the next: its chain of the nat table. */
import { FAMILIES } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";
import { Firewall } from "../firewall/firewall.ts";
import { jumpOf, ruleLine } from "../firewall/rule.ts";
import type { FirewallChange, FirewallView } from "../firewall/view.ts";
import { lockChanges } from "./locks.ts";

/** Whether the nat table of a family has the chain. @throws {OperatorError} */
export async function hasNatChain(chain: string, path: string): Promise<boolean> {
  for (const firewall of await Firewall.every(path)) {
    if (placesOf(await firewall.look(), chain).length > 0) return true;
  }
  return false;
}

/**
 * Removes an empty chain of the nat table with the jumps to it, in both families.
 *
 * @param path PATH, to find iptables
 * @returns whether there was one
 * @throws {OperatorError} `chain_in_use` if it has rules
 */
export async function removeUnusedChain(chain: string, path: string): Promise<boolean> {
  using lock = await lockChanges();
  let isThere = false;
  const plan = (view: FirewallView) => {
    const changes = removal(view, chain);
    isThere ||= changes.length > 0;
    return changes;
  };
  const what = `remove the chain ${chain}`;
  await Firewall.removeEvery(path, { plan, marks: [chain], what, lock });
  return isThere;
}

function placesOf(view: FirewallView, chain: string) {
  return FAMILIES.map((family) => ({ family, table: "nat", chain } as const))
    .filter((place) => view.hasChain(place));
}

function removal(view: FirewallView, chain: string): FirewallChange[] {
  return placesOf(view, chain).flatMap((place) => {
    const rules = view.rules(place);
    if (rules.length > 0) {
      throw new OperatorError(
        "chain_in_use",
        `the chain ${chain} has ${rules.length} rule${rules.length > 1 ? "s" : ""}, such as ` +
          `${ruleLine(rules[0]!)}: mesos-cni gc shows whose they are`,
      );
    }
    const jumps = ["PREROUTING", "OUTPUT"].flatMap((from) => view.rules({ ...place, chain: from }))
      .filter((rule) => jumpOf(rule) === chain);
    return [...jumps.map((remove) => ({ remove })), { removeChain: place }];
  });
}
