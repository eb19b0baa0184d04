/** What is wrong with containers beyond each one's own namespace: read once for all of them. */
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { Firewall } from "../firewall/firewall.ts";
import type { FirewallView } from "../firewall/view.ts";
import { listMissing } from "../ports/mod.ts";
import type { Registry } from "../cni/plugin_type.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import type { Container } from "../containers/inventory.ts";
import { leaseFile, leaseHolder } from "../containers/lease.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { hostEnd, NamespaceView } from "../netlink/view.ts";

/**
 * For each container, in a few words: lost rules, lost leases, an address that two have.
 *
 * @param plugins what is known of the rules of each type
 */
export async function troublesOf(
  containers: readonly Container[],
  plugins: Registry,
): Promise<Map<string, string[]>> {
  const troubles = new Map<string, string[]>();
  const add = (id: string, text: string) => troubles.set(id, [...troubles.get(id) ?? [], text]);
  using host = new NamespaceView();
  const holders = holdersOf(containers);
  for (const container of containers) {
    const { id, attachments, namespaceAlive } = container;
    if (!namespaceAlive) continue;
    for (const checkpoint of attachments) {
      for (const { address } of networkAddresses(checkpoint)) {
        for (const other of holders.get(address) ?? []) {
          if (other.container.id !== id && onOneWire(host, { container, checkpoint }, other)) {
            add(id, `${address} is ${other.container.id}'s too`);
          }
        }
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
  const views = await viewsOf();
  for (const { id, attachments, namespaceAlive } of containers) {
    if (!namespaceAlive) continue;
    for (const checkpoint of attachments) {
      for (const text of await lostOf(id, checkpoint, plugins, views)) add(id, text);
    }
  }
  return troubles;
}

/** All that there is of rules, for all containers. */
async function viewsOf(): Promise<FirewallView[]> {
  try {
    const firewalls = await Firewall.every(variable("PATH") ?? "");
    return await Promise.all(firewalls.map((firewall) => firewall.look()));
  } catch (error) {
    if (error instanceof OperatorError) return [];
    throw error;
  }
}

/** What the types of its plugins know to be missing. */
async function lostOf(
  containerId: string,
  { network, ifName, plugins, result }: Checkpoint,
  registry: Registry,
  views: readonly FirewallView[],
): Promise<string[]> {
  if (!result || views.length === 0) return [];
  const addresses = result.ips.map(({ address }) => address);
  const path = variable("PATH") ?? "";
  const found: string[] = [];
  for (const config of plugins) {
    const missing = registry.get(String(config.type))?.missing;
    if (!missing) continue;
    try {
      const text = await missing(
        config,
        { network, containerId, ifName, addresses, path },
        views,
      );
      if (text !== undefined) found.push(text);
    } catch (error) {
      // Who may not read rules, or has a kernel without them, is not told of them.
      if (!(error instanceof OperatorError)) throw error;
    }
  }
  return found;
}

/** An interface that has an address. */
interface Holder {
  container: Container;
  checkpoint: Checkpoint;
}

function holdersOf(containers: readonly Container[]): Map<string, Holder[]> {
  const holders = new Map<string, Holder[]>();
  for (const container of containers) {
    if (!container.namespaceAlive) continue;
    for (const checkpoint of container.attachments) {
      for (const { address } of networkAddresses(checkpoint)) {
        const known = holders.get(address);
        if (known) known.push({ container, checkpoint });
        else holders.set(address, [{ container, checkpoint }]);
      }
    }
  }
  return holders;
}

/** Whether two interfaces meet: on one network, or by two networks on one bridge. */
function onOneWire(host: NamespaceView, one: Holder, other: Holder): boolean {
  if (one.checkpoint.network === other.checkpoint.network) return true;
  const bridge = bridgeOf(host, one);
  return bridge !== undefined && bridge === bridgeOf(host, other);
}

function bridgeOf(host: NamespaceView, { container, checkpoint }: Holder): number | undefined {
  try {
    using inside = new NamespaceView(container.netns) as NamespaceView & { netns: string };
    const link = inside.link(checkpoint.ifName);
    return link && hostEnd(host, inside, link)?.master;
  } catch (error) {
    if (error instanceof OperatorError) return undefined; // it has just ended
    throw error;
  }
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
