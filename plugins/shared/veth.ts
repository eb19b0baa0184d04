/** The wire between a container and the host. */
import { hashOf } from "../../lib/base/hash.ts";
import { open } from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { addVeth, deleteLink, type LinkSettings } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { openNamespace } from "./namespace.ts";
import { type Call, type LiveCall, prevResultOf } from "./standard_plugin.ts";

/** How many wires of one attachment there may be: some runtimes give two containers one id. */
const MOST_OF_ONE = 4;

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
 * What marks the host's ends that an attachment may have, from their making on: name and hardware
 * address follow from the attachment. A container reaches neither.
 */
async function marksOf({ network, containerId, ifName }: Call) {
  const all = await hashOf(`${network} ${containerId} ${ifName}`, 18 * MOST_OF_ONE);
  return all.match(/.{18}/g)!.map((hash) => {
    // A locally administered address of one station, and a high one: a bridge takes the lowest of its ports'.
    const mac = ["fe", ...hash.slice(8).match(/../g)!].join(":");
    return { name: `veth${hash.slice(0, 8)}`, mac };
  });
}

/**
 * Makes the call's wire, whose ends are born where they belong, with the host's end up unless it is
 * said to be down.
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
  using handle = open(netns);
  let taken: unknown;
  for (const mark of await marksOf(call)) {
    try {
      // As the reference makes it: nothing queues on the host's end.
      const hostEnd = { up: true, txQueueLength: 0, ...outside, ...mark };
      host.change(addVeth(hostEnd, { ...inside, name: ifName, netns: handle }));
    } catch (error) {
      if (!(error instanceof SystemError) || error.errnoName !== "EEXIST") throw error;
      if (container.findLink(ifName)) {
        throw wrong(`the container has an interface ${ifName} already`);
      }
      taken = error;
      continue;
    }
    const { name } = mark;
    // The host alone decides what it knows of the routers on the container's side.
    tryWriteSysctls([[`net/ipv6/conf/${name}/accept_ra`, "0"]]);
    return { host: host.link(name), inside: container.link(ifName) };
  }
  throw taken;
}

/**
 * Removes the call's wires: by the host's end, as a container may have renamed its own, and its
 * namespace may be out of reach. One that leads elsewhere than to the call's namespace is another
 * container's of this id. Of a wire that has no mark, as the reference's, the container's end or the
 * result of ADD tells.
 */
export async function removeWire(call: Call): Promise<void> {
  using host = Netlink.open();
  using container = openNamespace(call.netns);
  const there = container && host.namespaceId(call.netns!);
  for (const { name, mac } of await marksOf(call)) {
    const link = host.findLink(name);
    if (link?.kind !== "veth" || link.mac !== mac) continue;
    const isOurs = container ? link.peerNamespaceId === there : call.netns === undefined;
    if (isOurs) await removeLink(host, link);
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
  const inside = container?.findLink(call.ifName);
  if (inside?.kind === "veth") await removeLink(container!, inside);
}

/** Removes an interface, if it is there; the kernel waits for that on another thread. */
export async function removeLink(netlink: Netlink, link: Link | undefined): Promise<void> {
  if (!link) return;
  try {
    await netlink.changeElsewhere(deleteLink(link.index, link.name));
  } catch (error) {
    if (!(error instanceof SystemError && error.errnoName === "ENODEV")) throw error;
  }
}
