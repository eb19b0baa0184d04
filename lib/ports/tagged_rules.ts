/** DNAT rules and elements by the comment that names their container, whoever wrote them. */
import { FAMILIES } from "../base/ip.ts";
import { Firewall } from "../firewall/firewall.ts";
import { type FoundRule, ruleLine } from "../firewall/rule.ts";
import { type BackendName, type Mapping, PROTOCOLS } from "./mapping.ts";
import { nameOf } from "./nftables_elements.ts";

export interface TaggedRule extends Omit<Mapping, "containerPort"> {
  backend: BackendName;
  /** Of iptables. */
  chain: string;
  comment: string;
  /** As the comment names it. */
  containerId: string;
  /** Where it sends packets, without the port. */
  address: string;
  /** As `iptables -S` prints it; an element as its map, key and value. */
  rule: string;
}

const COMMENT = /^container_id: (.+)$/;

/**
 * The rules of all chains that mapped packets are led to, in every kind of iptables, and the elements of
 * the nftables backend.
 *
 * @param path PATH, to find iptables
 * @param chains of nat, which are looked at also where nothing leads to them
 * @throws {OperatorError}
 */
export async function listTagged(
  path: string,
  chains: Iterable<string> = [],
): Promise<TaggedRule[]> {
  const found = await listElements();
  for (const firewall of await Firewall.every(path)) {
    const view = await firewall.look();
    for (const family of FAMILIES) {
      const at = (chain: string) => ({ family, table: "nat", chain } as const);
      const led = ["PREROUTING", "OUTPUT"].flatMap((chain) => view.rules(at(chain)))
        .flatMap(({ target }) => target && "jump" in target ? [target.jump] : []);
      for (const chain of new Set([...led, ...chains])) {
        found.push(...view.rules(at(chain)).flatMap(taggedRule));
      }
    }
  }
  return found;
}

function taggedRule(rule: FoundRule): TaggedRule[] {
  const { family, comment = "", chain, port, target, destination } = rule;
  const containerId = COMMENT.exec(comment)?.[1];
  if (!containerId || !port || !target || !("dnat" in target)) return [];
  return [{
    ...{ backend: "iptables", chain, comment, containerId, address: target.dnat.address },
    ...{ protocol: port.protocol, hostPort: port.number, rule: ruleLine(rule) },
    ...destination && !destination.not && destination.prefixLength >= (family === 4 ? 32 : 128)
      ? { hostAddress: destination.address }
      : {},
  }];
}

async function listElements(): Promise<TaggedRule[]> {
  const { allElements } = await import("./nftables.ts");
  return allElements().flatMap((element): TaggedRule[] => {
    const { set, key, value, comment = "" } = element;
    const containerId = COMMENT.exec(comment)?.[1];
    const [port, protocol, address] = [...key].reverse();
    const known = PROTOCOLS.find((one) => one === protocol);
    if (!set.startsWith("ports") || !value || !containerId || !known) return [];
    return [{
      ...{ backend: "nftables", chain: "", comment, containerId, address: String(value[0]) },
      ...{ protocol: known, hostPort: Number(port), rule: `@${nameOf(element)}` },
      ...address === undefined ? {} : { hostAddress: String(address) },
    }];
  });
}
