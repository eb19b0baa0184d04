/** DNAT rules by the comment that names their container, whoever wrote them. */
import { type Family } from "../base/ip.ts";
import { IptablesTool } from "./iptables_tool.ts";

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
  return (await listTaggedLines(path)).flatMap(({ family, line: rule, comment }) => {
    if (!rule.startsWith(`-A ${chain} `)) return [];
    const containerId = comment.slice("container_id: ".length);
    const address = /--to-destination \[?([0-9a-f.:]+?)\]?(?::\d+)?(?: |$)/.exec(rule)?.[1];
    return address ? [{ family, containerId, address, rule }] : [];
  });
}

/** All rules of nat with a container's comment. @throws {OperatorError} */
export async function listTaggedLines(
  path: string,
): Promise<{ family: Family; line: string; comment: string }[]> {
  const found: { family: Family; line: string; comment: string }[] = [];
  for (const family of [4, 6] as const) {
    if (!IptablesTool.isInstalled(family, path)) continue;
    const saved = await (await IptablesTool.find(family, path)).save("nat");
    for (const line of saved.split("\n")) {
      const comment = /^-A .*--comment "(container_id: [^"]+)"/.exec(line)?.[1];
      if (comment !== undefined) found.push({ family, line, comment });
    }
  }
  return found;
}
