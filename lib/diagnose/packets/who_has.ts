/** Who answers for an address on a link, in either family. */
import type { Link } from "../../netlink/mod.ts";
import { BRIEF, whoHas as askByArp } from "./arp.ts";

export { BRIEF };
import { neighbourFor } from "./neighbour.ts";

/**
 * The hardware addresses that answer for an address: of IPv4 everyone's, of IPv6 the one that the
 * kernel settled for.
 *
 * @param sender our own address, for IPv4
 */
export async function answersFor(
  netns: string | undefined,
  link: Link,
  address: string,
  sender?: string,
  patience?: typeof BRIEF,
): Promise<string[]> {
  if (!address.includes(":")) return await askByArp(netns, link, address, sender, patience);
  const mac = await neighbourFor(netns, link, address);
  return mac === undefined ? [] : [mac];
}
