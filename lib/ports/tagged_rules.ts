/** DNAT rules by the comment that names their container, whoever wrote them. */
import { type Family, familyOfKnown } from "../base/ip.ts";
import { IptablesTool } from "./iptables_tool.ts";
import type { BackendName } from "./mapping.ts";
import { nameOf } from "./nftables_elements.ts";

export interface TaggedRule {
  backend: BackendName;
  family: Family;
  containerId: string;
  /** Where it sends packets, without the port. */
  address: string;
  /** As `iptables -S` prints it; an element as its map, key and value. */
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
    return address ? [{ backend: "iptables", family, containerId, address, rule }] : [];
  });
}

/** The elements of the nftables backend that lead to a container. @throws {OperatorError} */
export async function listTaggedElements(): Promise<TaggedRule[]> {
  const { allElements } = await import("./nftables.ts");
  return allElements().flatMap((element): TaggedRule[] => {
    const { set, value, comment = "" } = element;
    const containerId = /^container_id: (.+)$/.exec(comment)?.[1];
    if (!set.startsWith("ports") || !value || !containerId) return [];
    const address = String(value[0]);
    const rule = `@${nameOf(element)}`;
    return [{ backend: "nftables", family: familyOfKnown(address), containerId, address, rule }];
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
