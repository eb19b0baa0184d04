/** DNAT rules by the comment that names their container, whoever wrote them. */
import { type Family } from "../base/ip.ts";
import { IptablesTool } from "./iptables_tool.ts";
import { prepareState } from "./state.ts";

export interface TaggedRule {
  family: Family;
  containerId: string;
  /** Where it sends packets, without the port. */
  address: string;
  /** As `iptables -S` prints it. */
  rule: string;
}

/**
 * The rules of a nat chain, in both families; none where iptables is not installed.
 *
 * @param path PATH, to find iptables
 * @throws {OperatorError}
 */
export async function listTaggedRules(chain: string, path: string): Promise<TaggedRule[]> {
  prepareState();
  const rules: TaggedRule[] = [];
  for (const family of [4, 6] as const) {
    if (!IptablesTool.isInstalled(family, path)) continue;
    const saved = await (await IptablesTool.find(family, path)).save("nat");
    for (const rule of saved.split("\n").filter((line) => line.startsWith(`-A ${chain} `))) {
      const containerId = /--comment "container_id: ([^"]+)"/.exec(rule)?.[1];
      const address = /--to-destination \[?([0-9a-f.:]+?)\]?(?::\d+)?(?: |$)/.exec(rule)?.[1];
      if (containerId && address) rules.push({ family, containerId, address, rule });
    }
  }
  return rules;
}
