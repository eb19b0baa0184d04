/** Does the owner of an address, and nobody else, answer who has it? */
import type { Link } from "../../netlink/mod.ts";
import { answersFor } from "../packets/who_has.ts";
import { type Answer, answered, failed, unasked } from "./question.ts";

/**
 * Asks by ARP on a link.
 *
 * @param sender the address of the link, as the kernel asks
 * @param owner whose address it is
 */
export async function ownerAnswers(
  netns: string | undefined,
  link: Link,
  address: string,
  sender: string,
  owner: Link | undefined,
): Promise<Answer> {
  if (owner?.mac === undefined) return unasked(`${address} has no hardware address`);
  if (!link.flags.includes("UP")) return unasked(`${link.name} is down`);
  // The kernel may be asking as well, and what it asks of one station alone is answered where a
  // broadcast is lost. Nobody but us asks without an address of his own.
  const [answers, ofProbe] = await Promise.all([
    answersFor(netns, link, address, sender),
    answersFor(netns, link, address),
  ]);
  if (answers.length > 0 && !answers.includes(owner.mac)) {
    return failed({ kind: "others_have", address, macs: answers, wanted: owner.mac });
  }
  return answers.length > 0 && ofProbe.includes(owner.mac)
    ? answered(`${owner.mac} answers`)
    : failed({ kind: "nobody_has", address });
}
