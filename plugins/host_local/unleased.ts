/**
 * Addresses that live containers have, whether a lease names them or not, as after somebody has removed
 * the store: they must not be given out again.
 */
import { Pace } from "../../lib/base/pace.ts";
import { readContainers } from "../../lib/containers/inventory.ts";
import { baseOf, Layout } from "../../lib/containers/layout.ts";
import { networkAddresses } from "../../lib/containers/network_address.ts";
import { passages } from "../../lib/firewall/passage.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { findInode } from "../../lib/kernel/proc.ts";
import { ProcessTable } from "../../lib/kernel/processes.ts";
import { namespaceFate } from "../../lib/netlink/attached_network.ts";
import { Netlink } from "../../lib/netlink/mod.ts";
import { Sight } from "../../lib/netlink/sight.ts";
import { installedOf, records } from "../../lib/ports/record.ts";
import { isA, unless } from "../../lib/base/unless.ts";
import type { LiveCall } from "../shared/standard_plugin.ts";

const OWN = "/proc/self/ns/net";

/**
 * The addresses of interfaces whose other end, or whose device below, is in this namespace: those
 * of other hosts' containers, as in a test on one machine, are none of ours. A container may give its
 * interface any addresses, so an interface is believed one of each range set, the oldest: that many
 * it was leased, and else one container could claim them all.
 *
 * @param setOf the number of the range set that an address is of, or undefined for one of none
 */
export async function addressesInUse(
  setOf: (address: string) => number | undefined,
): Promise<Set<string>> {
  const found = new Set<string>();
  const own = findInode(OWN);
  const pace = new Pace();
  for (const [inode, handles] of new Sight(await ProcessTable.look()).handles()) {
    if (inode !== own) handles.some((handle) => look(handle, found, setOf));
    await pace.rest();
  }
  return found;
}

/**
 * The addresses that what goes on has by a record, as a container may take its address off its interface,
 * and put it back: the records of port mappings and of the firewall, and, for a call of an isolator, its
 * checkpoints.
 */
export function addressesOnRecord({ netns, containerId }: LiveCall): string[] {
  const sight = new Sight();
  const mapped = records.survey().found.flatMap((record) => installedOf(record) ?? [])
    .filter((record) => namespaceFate(record, sight) !== "gone")
    .flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  const passed = passages.survey().found
    .filter(({ attached }) => attached && namespaceFate(attached, sight) !== "gone")
    .flatMap(({ addresses }) => addresses);
  const base = baseOf(netns, containerId);
  const attached = (base === undefined ? [] : readContainers(new Layout(base), sight))
    .filter(({ namespaceAlive, isElsewhere }) => namespaceAlive || isElsewhere)
    .flatMap(({ attachments }) => attachments.flatMap(networkAddresses))
    .map(({ address }) => address);
  return [...mapped, ...passed, ...attached];
}

/** @returns false where there is no network to look at: it has gone, or is of another kind */
function look(
  handle: string,
  found: Set<string>,
  setOf: (address: string) => number | undefined,
): boolean {
  return unless(isA(SystemError), () => {
    using netlink = Netlink.open(handle);
    const host = netlink.namespaceId(OWN);
    if (host === undefined) return true;
    const ours = new Set(
      netlink.links().filter(({ peerNamespaceId }) => peerNamespaceId === host)
        .map(({ index }) => index),
    );
    const believed = new Set<string>();
    for (const { link, address } of oldestFirst(netlink.addresses())) {
      const set = setOf(address);
      const claim = `${link} ${set}`;
      if (set === undefined || !ours.has(link) || believed.has(claim)) continue;
      believed.add(claim);
      found.add(address);
    }
    return true;
  }) ?? false;
}

/** The kernel lists the oldest address of IPv4 first (inet_insert_ifa()), and of IPv6 last (ipv6_link_dev_addr()). */
function oldestFirst<A extends { address: string }>(addresses: readonly A[]): A[] {
  const isSix = ({ address }: A) => address.includes(":");
  return [...addresses.filter((one) => !isSix(one)), ...addresses.filter(isSix).reverse()];
}
