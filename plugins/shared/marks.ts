/**
 * What marks an attachment's interfaces from their making on. A container may rename its own, and reaches none of
 * this: so they are found whatever they are called, and those of another attachment's are told from them.
 */
import { hashOf } from "../../lib/base/hash.ts";
import { inodeOf } from "../../lib/kernel/proc.ts";
import { hostEnd } from "../../lib/netlink/host_end.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import type { Call } from "./standard_plugin.ts";

/** The kernel gives neither an index nor a number of a namespace from here on to anybody of its own accord. */
const FIRST_NUMBER = 2 ** 30;

/** A locally administered address of one station, and a high one: a bridge takes the lowest of its ports'. */
const MAC = "fe:";

/**
 * Of the host's ends of wires. The names say whose they are: a few, since some runtimes give two containers one
 * id. So does the beginning of the address; the rest is of the network that the wire was made for.
 */
export async function wireMarksOf({ network, containerId, ifName, netns }: Call) {
  const hash = await hashOf(`${network} ${containerId} ${ifName}`, 40);
  const [whose, ...names] = hash.match(/.{8}/g)!;
  const mac = `${MAC}${whose!.slice(0, 6).match(/../g)!.join(":")}${macEndOf(netns)}`;
  return { names: names.map((name) => `veth${name}`), mac };
}

/** Of those that live, the kernel gives the lowest free number. */
function macEndOf(netns: string | undefined): string {
  if (netns === undefined) return "";
  return inodeOf(netns).toString(16).padStart(4, "0").slice(-4).replace(/../g, ":$&");
}

export const isMarked = (link: Link | undefined, mac: string): link is Link =>
  link?.kind === "veth" && link.mac!.startsWith(mac);

/**
 * Of an interface that is the container's alone: its index, and the number by which the host knows the container's
 * namespace. No two attachments have both, not even by an id that somebody has looked for.
 */
export async function innerMarksOf({ network, containerId, ifName }: Call) {
  const number = async (text: string) => FIRST_NUMBER + (parseInt(await hashOf(text, 8), 16) >>> 2);
  return {
    index: await number(`${network} ${containerId} ${ifName}`),
    namespaceId: await number(containerId),
  };
}

/**
 * Whether an interface in the call's namespace is another attachment's, by its mark: the path that a late DEL is
 * given may lead to a later container's network. What has no mark, as the reference's, goes by its name.
 */
export async function isAnothers(call: Call, host: Netlink, link: Link): Promise<boolean> {
  if (link.index >= FIRST_NUMBER) return link.index !== (await innerMarksOf(call)).index;
  const outer = link.kind === "veth" ? hostEnd(host, call.netns!, link) : undefined;
  const isOfWire = outer?.mac?.startsWith(MAC) && outer.mac.endsWith(macEndOf(call.netns));
  return isOfWire === true && !isMarked(outer, (await wireMarksOf(call)).mac);
}
