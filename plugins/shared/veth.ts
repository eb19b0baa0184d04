/** The wire between a container and the host. */
import { errno, unless } from "../../lib/base/unless.ts";
import { open } from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { addVeth, deleteLink, type LinkSettings } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { isMarked, marksOf, ownInterface } from "./marks.ts";
import { openNamespace, requireFree } from "./namespace.ts";
import { type Call, type LiveCall, prevResultOf } from "./standard_plugin.ts";

/** `veth` and eight hexadecimal digits, by which the host's end is told from other interfaces. */
export function randomVethName(): string {
  const [number] = crypto.getRandomValues(new Uint32Array(1));
  return `veth${number!.toString(16).padStart(8, "0")}`;
}

/** A wire that was made. */
export interface Wire {
  /** The host's end. */
  host: Link;
  /** The container's end. */
  inside: Link;
}

/**
 * Makes the call's wire, whose ends are born where they belong, with the host's end up unless it is
 * said to be down. In the place of one whose ADD was cut off, or that the container has hidden.
 *
 * @throws {CniError} if the container has an interface of that name
 * @throws {SystemError}
 */
export async function makeWire(
  host: Netlink,
  container: Netlink,
  call: LiveCall,
  inside: Omit<LinkSettings, "name">,
  outside: Omit<LinkSettings, "name" | "mac">,
): Promise<Wire> {
  const { ifName, netns } = call;
  const marks = await marksOf(call);
  using handle = open(netns);
  for (const name of marks.names) {
    const before = host.findLink(name);
    if (isMarked(before, marks)) await removeLink(host, before);
    const made = unless(errno("EEXIST"), () => {
      // As the reference makes it: nothing queues on the host's end.
      const hostEnd = { up: true, txQueueLength: 0, ...outside, name, mac: marks.mac };
      host.change(addVeth(hostEnd, { ...inside, name: ifName, netns: handle }));
      return host.link(name);
    });
    if (made) {
      // The host alone decides what it knows of the routers on the container's side.
      tryWriteSysctls([[`net/ipv6/conf/${name}/accept_ra`, "0"]]);
      return { host: made, inside: container.link(ifName) };
    }
    requireFree(container, ifName);
  }
  const all = marks.names.join(", ");
  throw wrong(`the host has interfaces of all names for the container's wire: ${all}`);
}

/**
 * Removes the call's wire: by the host's end, as a container may have renamed its own or taken it to a network of its
 * making; without a path of one, each that its id has. Of a wire that has no mark, as the reference's, the
 * container's end or the result of ADD tells.
 */
export async function removeWire(call: Call): Promise<void> {
  using host = Netlink.open();
  using container = openNamespace(call.netns);
  const marks = await marksOf(call);
  for (const name of marks.names) {
    const link = host.findLink(name);
    if (isMarked(link, marks)) await removeLink(host, link);
  }
  const made = prevResultOf(call)?.interfaces ?? [];
  // Runtimes keep a result by id: it may be that of another container of this one's.
  const isOfCall = !container || made.some(({ sandbox }) => sandbox === call.netns);
  for (const { name, mac, sandbox } of isOfCall ? made : []) {
    const link = sandbox === undefined && /^veth[0-9a-f]{8}$/.test(name)
      ? host.findLink(name)
      : undefined;
    if (link?.kind === "veth" && link.mac === mac) await removeLink(host, link);
  }
  const inside = container && await ownInterface(call, container, marks);
  if (inside?.kind === "veth") await removeLink(container!, inside);
}

/**
 * Removes an interface, if it is there; the kernel waits for that on another thread.
 *
 * @param namespaceId as of `Netlink.linkAt`
 */
export async function removeLink(
  netlink: Netlink,
  link: Link | undefined,
  namespaceId?: number,
): Promise<void> {
  if (!link) return;
  try {
    await netlink.changeElsewhere(deleteLink(link.index, link.name, namespaceId));
  } catch (error) {
    if (!(error instanceof SystemError && error.errnoName === "ENODEV")) throw error;
  }
}
