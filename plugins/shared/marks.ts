/**
 * What marks an attachment's interfaces from their making on. A container may rename its own, and reaches none of
 * this: so they are found whatever they are called, and those of another attachment's are told from them.
 */
import { hashOf } from "../../lib/base/hash.ts";
import { namespaceAt } from "../../lib/kernel/namespaces.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import type { Call } from "./standard_plugin.ts";

/** The kernel gives neither an index nor a number of a namespace from here on to anybody of its own accord. */
const FIRST_NUMBER = 2 ** 30;

/** A locally administered address of one station, and a high one: a bridge takes the lowest of its ports'. */
const MAC = "fe:";

/** What an attachment's interfaces are known by. */
export type Marks = Awaited<ReturnType<typeof marksOf>>;

export async function marksOf({ network, containerId, ifName, netns }: Call) {
  const hash = await hashOf(`${network} ${containerId} ${ifName}`, 40);
  const [whose, ...names] = hash.match(/.{8}/g)!;
  const end = macEndOf(netns);
  return {
    /** Names of the host's end of a wire: a few, since some runtimes give two containers one id. */
    names: names.map((name) => `veth${name}`),
    /**
     * How its hardware address begins; the rest is of the network that the wire was made for. Undefined for a path
     * that leads to no network (any more), which does not tell whose a wire is of several containers of one id.
     */
    mac: end === undefined ? undefined : MAC + inBytes(whose!.slice(0, 6)) + end,
    /** The end of the address of every wire that was made for the call's network. */
    end,
    /**
     * The index of an interface that is the container's alone. With the number by which the host knows the
     * container's namespace, no two attachments have it, not even by an id that somebody has looked for.
     */
    index: highNumber(whose!),
  };
}

/** The number by which the host knows the namespace of a container with an interface that is its alone. */
export async function namespaceIdOf({ containerId }: Call): Promise<number> {
  return highNumber(await hashOf(containerId, 8));
}

const highNumber = (hash: string) => FIRST_NUMBER + (parseInt(hash, 16) >>> 2);
const inBytes = (digits: string) => digits.match(/../g)!.join(":");

/** Of networks that live, the kernel gives the lowest free number. */
function macEndOf(netns: string | undefined): string | undefined {
  const inode = netns === undefined ? undefined : namespaceAt(netns);
  if (inode !== undefined) return `:${inBytes(inode.toString(16).padStart(4, "0").slice(-4))}`;
  return netns === undefined ? "" : undefined;
}

export const isMarked = (link: Link | undefined, { mac }: Marks): link is Link =>
  link?.kind === "veth" && mac !== undefined && link.mac!.startsWith(mac);

/**
 * The interface of the call's name in its namespace, unless it is another attachment's, by its mark: the path that
 * a late DEL is given may lead to a later container's network. What has no mark, as the reference's, goes by its
 * name.
 */
export async function ownInterface(
  call: Call,
  container: Netlink,
  known: Marks | Promise<Marks> = marksOf(call),
): Promise<Link | undefined> {
  const marks = await known;
  const link = container.findLink(call.ifName);
  if (!link) return undefined;
  if (link.index >= FIRST_NUMBER) return link.index === marks.index ? link : undefined;
  if (link.kind !== "veth" || link.peerIndex === undefined) return link;
  using host = Netlink.open();
  const outer = host.linkAt(link.peerIndex);
  const isOfWire = outer?.kind === "veth" && outer.peerIndex === link.index &&
    outer.mac!.startsWith(MAC) && outer.mac!.endsWith(marks.end ?? "");
  return isOfWire && !isMarked(outer, marks) ? undefined : link;
}
