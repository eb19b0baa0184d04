/** Port mappings whose container is gone: those on record. */
import { listOwners, namespaceFate, removeOwner } from "../../ports/mod.ts";
import type { Sight } from "../../netlink/sight.ts";
import type { Garbage } from "./garbage.ts";

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
