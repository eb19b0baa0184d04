/**
 * Addresses that live containers have and no lease names, as after somebody has removed the store:
 * they must not be given out again.
 */
import { SystemError } from "../../lib/kernel/libc.ts";
import { mounts } from "../../lib/kernel/mount.ts";
import { findInode } from "../../lib/kernel/proc.ts";
import { processIds } from "../../lib/kernel/processes.ts";
import { Netlink } from "../../lib/netlink/mod.ts";
import { isA, unless } from "../../lib/base/unless.ts";

const OWN = "/proc/self/ns/net";
/** How many namespaces are looked at before other work of this program gets its turn. */
const SLICE = 20;

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
  let count = 0;
  for (const handle of namespaces()) {
    look(handle, found, setOf);
    if (++count % SLICE === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return found;
}

/** A handle of each namespace that a process lives in, or that is mounted. */
function namespaces(): Iterable<string> {
  const byInode = new Map<number, string>();
  const own = findInode(OWN);
  const mounted = mounts().filter(({ type }) => type === "nsfs").map((one) => one.mountPoint);
  for (const handle of [...mounted, ...processIds().map((pid) => `/proc/${pid}/ns/net`)]) {
    const inode = findInode(handle);
    if (inode !== undefined && inode !== own) byInode.set(inode, handle);
  }
  return byInode.values();
}

function look(
  handle: string,
  found: Set<string>,
  setOf: (address: string) => number | undefined,
): void {
  // It may have gone, or be a handle of another kind.
  unless(isA(SystemError), () => {
    using netlink = Netlink.open(handle);
    const host = netlink.namespaceId(OWN);
    if (host === undefined) return;
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
  });
}

/** The kernel lists the oldest address of IPv4 first (inet_insert_ifa()), and of IPv6 last (ipv6_link_dev_addr()). */
function oldestFirst<A extends { address: string }>(addresses: readonly A[]): A[] {
  const isSix = ({ address }: A) => address.includes(":");
  return [...addresses.filter((one) => !isSix(one)), ...addresses.filter(isSix).reverse()];
}
