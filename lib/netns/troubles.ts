/** What is wrong with containers beyond each one's own namespace: read once for all of them. */
import { OperatorError } from "../base/error.ts";
import { listMissing } from "../ports/mod.ts";
import type { Container } from "./inventory.ts";
import { leaseFile, leaseHolder } from "./lease.ts";
import { networkAddresses } from "./network_address.ts";

/** For each container, in a few words: lost port rules, lost leases, an address that two have. */
export async function troublesOf(containers: readonly Container[]): Promise<Map<string, string[]>> {
  const troubles = new Map<string, string[]>();
  const add = (id: string, text: string) => troubles.set(id, [...troubles.get(id) ?? [], text]);
  for (const { id, attachments, namespaceAlive } of containers) {
    if (!namespaceAlive) continue;
    for (const checkpoint of attachments) {
      for (const { address } of networkAddresses(checkpoint)) {
        const others = containers.filter((other) =>
          other.id !== id && other.namespaceAlive &&
          other.attachments.some((one) =>
            one.network === checkpoint.network &&
            networkAddresses(one).some((their) => their.address === address)
          )
        );
        for (const other of others) add(id, `${address} is ${other.id}'s too`);
        const file = leaseFile(checkpoint, address);
        const holder = file && leaseHolder(file);
        if (file !== undefined && holder !== id) {
          add(
            id,
            holder === undefined ? `lease of ${address} lost` : `lease of ${address} is another's`,
          );
        }
      }
    }
  }
  for (const [id, missing] of await lostRules()) {
    add(id, `port rules missing (${missing.length})`);
  }
  return troubles;
}

/** Who may not read rules, or has no program for them, is not told of them. */
async function lostRules(): Promise<Map<string, string[]>> {
  try {
    return await listMissing();
  } catch (error) {
    if (error instanceof OperatorError) return new Map();
    throw error;
  }
}
