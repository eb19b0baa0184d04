/** Port mappings whose container is gone: those on record, and rules without a record. */
import { listOwners, namespaceFate, remove, removeOwner } from "../../ports/mod.ts";
import type { LedPort } from "../../firewall/led_ports.ts";
import { commentOf } from "../../firewall/owner.ts";
import type { Sight } from "../../netlink/sight.ts";
import type { Holders } from "./addresses.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/** Reservations and rules of attachments whose network namespace no longer exists. */
export function findMappings(sight: Sight): Garbage[] {
  return listOwners(sight).filter(({ fate }) => fate === "gone").map((owner) => ({
    kind: "mapping",
    what: `ports of container ${owner.containerId} (${owner.ifName} on ${owner.network})`,
    why: `its network namespace ${owner.netns} is gone`,
    // The same container may have come back since.
    remove: () => removeOwner(owner, (record) => namespaceFate(record) === "gone"),
  }));
}

/**
 * Rules that send packets to an address that nobody has: somebody restored them, say a
 * `iptables-restore` at boot, or another program wrote and forgot them.
 */
export function findRules(
  ports: readonly LedPort[],
  path: string,
  living: Living,
  { alive, unexplained }: Holders,
): Garbage[] {
  // In a namespace that could not be read, or seen, there may be any address.
  if (unexplained) return [];
  const known = new Set(
    [...listOwners().map((owner) => owner.containerId), ...alive].map(commentOf),
  );
  return ports.flatMap(({ owner, by, to: { address }, rule, backend, chain }): Garbage[] => {
    if (!owner || by || living.addresses.has(address)) return [];
    const { containerId } = owner;
    if (known.has(commentOf(containerId))) return [];
    return [{
      kind: "rule",
      what: rule,
      why: `no container ${containerId} has ports on record, and nobody has ${address}`,
      remove: () => remove({ containerId, network: "", ifName: "" }, path, { chain, backend }),
    }];
  });
}
