/**
 * What is known to be left of an attachment whose plugins are gone for good: leases of host-local,
 * and rules of iptables that carry the container's name. Its links are cleanup's own to remove.
 */
import { messageOf, OperatorError } from "../base/error.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { attachedNetwork } from "./attach.ts";
import { removePassage } from "../firewall/passage.ts";
import { removeAttachedRules } from "./gc/rules.ts";
import { tracesOfPlugin } from "./gc/networks.ts";
import type { Isolator } from "./isolator.ts";
import type { Attachment } from "../containers/layout.ts";
import { leasedAddresses, leaseHolder, lockStore } from "../containers/lease.ts";
import { log } from "../base/log.ts";

/**
 * Removes the traces of one attachment.
 *
 * @returns a line for each thing that was removed
 * @throws {OperatorError} when something could not be removed
 */
export async function removeTraces(
  isolator: Isolator,
  id: ContainerId,
  { network: name, ifName }: Attachment,
): Promise<string[]> {
  const removed: string[] = [];
  for (const store of storesOf(isolator, id, name)) {
    removed.push(...await releaseLeases(store, id, ifName));
  }
  const { path } = isolator.settings;
  const owner = { containerId: id, network: name, ifName };
  // The port mapper is part of this program, and its delegate may be what is gone.
  const { removeOwner } = await import("../ports/mod.ts");
  if (await removeOwner(owner, path)) removed.push(`the ports of ${ifName} on ${name}`);
  removed.push(...await removeAttachedRules(owner, path));
  await removePassage(owner, path);
  return removed;
}

function storesOf(isolator: Isolator, id: ContainerId, name: string): string[] {
  try {
    const network = attachedNetwork(isolator, id, name);
    return (network?.plugins ?? [])
      .flatMap(({ raw }) => tracesOfPlugin(isolator.registry, raw, name))
      .flatMap(({ addressStore }) => addressStore ?? []);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.warning("the network's config is damaged: its leases are not looked for", {
      container: id,
      network: name,
      error: messageOf(error),
    });
    return [];
  }
}

/** Gives back every address that a store holds for an interface of a container. */
async function releaseLeases(store: string, id: string, ifName: string): Promise<string[]> {
  const own = () =>
    leasedAddresses(store).filter((address) => {
      const holder = leaseHolder(`${store}/${address}`);
      return holder?.containerId === id && ["", ifName].includes(holder.ifName);
    });
  if (own().length === 0) return [];
  using _ = await lockStore(store);
  return own().map((address) => {
    Deno.removeSync(`${store}/${address}`);
    return `the lease of ${address} in ${store}`;
  });
}
