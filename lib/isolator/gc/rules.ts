/** Rules that name a container which is gone: a DEL that was never called leaves them. */
import { FAMILIES } from "../../base/ip.ts";
import { listMasqueraded, removeAttached } from "../../firewall/attachment_chains.ts";
import { Firewall } from "../../firewall/firewall.ts";
import { listMacSpoofChecks } from "../../firewall/mac_spoof_check.ts";
import { listTableMasquerades } from "../../firewall/masquerade_table.ts";
import { type Passage, passedAddresses, removePassage } from "../../firewall/passage.ts";
import type { LedPort } from "../../firewall/led_ports.ts";
import { attachedComment, commentOf } from "../../firewall/owner.ts";
import { ruleLine } from "../../firewall/rule.ts";
import { namespaceFate } from "../../netlink/attached_network.ts";
import type { Sight } from "../../netlink/sight.ts";
import { listOwners, remove, removeOwner } from "../../ports/mod.ts";
import type { Holders } from "./addresses.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/** Rules of one owner, as far as it can be told from them. */
export interface NamedRules {
  /** Whose they are, maybe shortened; absent where only addresses or the interface say. */
  containerId?: string;
  addresses: ReadonlySet<string>;
  /** The interface of this host that they are about, in the place of addresses. */
  device?: string;
  /** What they are, for an operator. */
  what: string;
  /** @throws {OperatorError} */
  remove(): unknown;
}

/**
 * All rules that have an owner, but those of the port mapper.
 *
 * @param ports all that are led
 * @throws {OperatorError}
 */
export async function listNamedRules(
  path: string,
  ports: readonly LedPort[],
  passed: readonly Passage[],
  isAllRead: boolean,
): Promise<NamedRules[]> {
  const recorded = new Set(passed.flatMap(({ addresses }) => addresses));
  const found = passed.map((passage): NamedRules => ({
    containerId: passage.containerId,
    addresses: new Set(passage.addresses),
    what: `what lets container ${passage.containerId} on ${passage.network} through the filter`,
    remove: () => removePassage(passage, path),
  }));
  for (const firewall of await Firewall.every(path)) {
    const view = await firewall.look();
    const kind = firewall.kinds[4] === "legacy" ? "iptables-legacy" : "iptables";
    found.push(
      ...listMasqueraded(view).map((attached): NamedRules => ({
        containerId: attached.containerId,
        addresses: attached.addresses,
        what:
          `rules of container ${attached.containerId} on ${attached.network} in the nat table of ` +
          kind,
        remove: () => removeAttachedRules(attached, path),
      })),
      ...[...passedAddresses(view)].filter(([address]) => isAllRead && !recorded.has(address))
        .map(([address, rules]): NamedRules => ({
          addresses: new Set([address]),
          what: `what lets ${address} through the filter of ${kind}`,
          remove: () =>
            firewall.change({
              families: FAMILIES,
              plan: (now) =>
                (passedAddresses(now).get(address) ?? [])
                  .filter(({ id }) => rules.some((rule) => rule.id === id))
                  .map((remove) => ({ remove })),
              what: `let ${address} through no more`,
            }),
        })),
      ...kind === "iptables" ? [...listTableMasquerades(firewall), ...listMacSpoofChecks()] : [],
    );
  }
  return [...found, ...portmaps(ports, path)];
}

/** Reservations and rules on record of attachments whose network namespace no longer exists. */
export function findMappings(sight: Sight, path: string): Garbage[] {
  return listOwners(sight).filter(({ fate }) => fate === "gone").map((owner) => ({
    kind: "mapping",
    what: `ports of container ${owner.containerId} (${owner.ifName} on ${owner.network})`,
    why: `its network namespace ${owner.netns} is gone`,
    // The same container may have come back since.
    remove: () => removeOwner(owner, path, (record) => namespaceFate(record) === "gone"),
  }));
}

/**
 * Rules of the port mapper without a record: somebody restored them, or another program wrote them.
 *
 * @throws {OperatorError} where a record can't be read
 */
export function listUnrecorded(ports: readonly LedPort[], path: string): NamedRules[] {
  const recorded = new Set(listOwners().map(({ containerId }) => commentOf(containerId)));
  return ports.flatMap(({ owner, by, to, rule, chain, backend }): NamedRules[] => {
    if (!owner || by || recorded.has(commentOf(owner.containerId))) return [];
    const { containerId } = owner;
    return [{
      ...{ containerId, addresses: new Set([to.address]), what: rule },
      remove: () => remove({ containerId, network: "", ifName: "" }, path, { chain, backend }),
    }];
  });
}

/** What the reference's portmap has of each attachment. */
function portmaps(ports: readonly LedPort[], path: string): NamedRules[] {
  const all = ports.flatMap(({ owner, by, to }) => owner && by ? [{ ...owner, to }] : []);
  const owned = Map.groupBy(all, ({ network, containerId }) => `${network} ${containerId}`);
  return [...owned.values()].map((own): NamedRules => {
    const { containerId, network = "" } = own[0]!;
    return {
      containerId,
      addresses: new Set(own.map(({ to }) => to.address)),
      what: `host ports of container ${containerId} by the portmap of containernetworking/plugins`,
      remove: () => removeAttachedRules({ network, containerId }, path),
    };
  });
}

/**
 * Removes the chains and rules of the nat table that carry an attachment's name.
 *
 * @returns the rules, a line each
 * @throws {OperatorError}
 */
export async function removeAttachedRules(
  attached: { network: string; containerId: string },
  path: string,
): Promise<string[]> {
  const plan = await removeAttached(attached, "masquerade", "ports");
  const removed = new Set<string>();
  await Firewall.removeEvery(path, {
    marks: [attachedComment(attached)],
    plan: (view, kind) => {
      const changes = plan(view, kind);
      const rules = changes.flatMap((change) =>
        "remove" in change
          ? [change.remove]
          : "removeChain" in change
          ? view.rules(change.removeChain)
          : []
      );
      for (const rule of rules) {
        removed.add(`${rule.family === 4 ? "iptables" : "ip6tables"} -t nat ${ruleLine(rule)}`);
      }
      return changes;
    },
    what: `remove the rules of container ${attached.containerId}`,
  });
  return [...removed];
}

/**
 * @param listed from before it was known what lives
 * @param links the interfaces of this host
 */
export function findNamedRules(
  listed: readonly NamedRules[],
  living: Living,
  { alive, dead, unexplained }: Holders,
  links: ReadonlySet<string>,
): Garbage[] {
  const known = new Set([...alive, ...dead].map(commentOf));
  return listed
    .filter(({ containerId: id, addresses, device }) => {
      if (device !== undefined) return !links.has(device);
      // In a namespace that could not be read, or has none of the leased addresses, there may be any.
      // A dead container's are its cleanup's to remove. Without an address, there is no telling.
      return !unexplained && (id === undefined || !known.has(commentOf(id))) &&
        addresses.size > 0 && [...addresses].every((address) => !living.addresses.has(address));
    })
    .map(({ addresses, device, what, remove }) => ({
      kind: "rule",
      what,
      why: device === undefined
        ? `no such container lives, and nobody has ${[...addresses].join(", ")}`
        : `the interface ${device} that they are about is gone`,
      remove,
    }));
}
