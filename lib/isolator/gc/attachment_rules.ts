/** Rules of standard plugins whose container is gone: a DEL that was never called leaves them. */
import type { RuledAttachment } from "../attachment_rules.ts";
import { removeAttachmentRules } from "../attachment_rules.ts";
import type { Holders } from "./addresses.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/**
 * @param listed from before it was known what lives
 * @param path PATH, to find iptables
 */
export function findAttachmentRules(
  listed: readonly RuledAttachment[],
  path: string,
  living: Living,
  { alive, dead, unexplained }: Holders,
): Garbage[] {
  // In a namespace that could not be read, or has none of the leased addresses, there may be any.
  if (unexplained) return [];
  return listed
    // A dead container's are its cleanup's to remove. Without an address, there is no telling.
    .filter(({ containerId: id, addresses }) =>
      !alive.has(id) && !dead.has(id) && addresses.size > 0 &&
      [...addresses].every((address) => !living.addresses.has(address))
    )
    .map(({ program, containerId, network, addresses }) => ({
      kind: "rule",
      what: `rules of container ${containerId} on ${network} in the nat table of ${program}`,
      why: `no such container lives, and nobody has ${[...addresses].join(", ")}`,
      remove: async () => {
        await removeAttachmentRules(program, path, containerId, network);
      },
    }));
}
