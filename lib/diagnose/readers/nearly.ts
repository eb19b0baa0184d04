/** Rules of nat that come near what is missing: for another protocol, address or device. */
import { natRules } from "../../facts/nat_rules.ts";
import type { Scene } from "../../facts/scene.ts";
import { OperatorError } from "../../base/error.ts";
import { type FoundRule, ruleLine } from "../../firewall/rule.ts";

const MOST = 2;

/** @returns a line for each; none where rules can't be read */
export async function nearly(
  { agent }: Scene,
  chains: readonly string[],
  fits: (rule: FoundRule) => boolean,
): Promise<string[]> {
  try {
    const lines = natRules(await agent.firewalls(), ...chains).filter(fits).map(ruleLine);
    return [...new Set(lines)].slice(0, MOST);
  } catch (error) {
    if (error instanceof OperatorError) return [];
    throw error;
  }
}
