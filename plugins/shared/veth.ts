/** The wire between a container and the host. */
import { open } from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { addVeth, deleteLink, type LinkSettings } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { openNamespace } from "./namespace.ts";
import { type Call, prevResultOf } from "./standard_plugin.ts";

/** How often a name that was made up may be somebody's. */
const ATTEMPTS = 10;

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
 * Makes a wire, whose ends are born where they belong, with the host's end up unless it is said
 * to be down.
 *
 * @throws {CniError} if the container has an interface of that name
 * @throws {SystemError}
 */
export function makeWire(
  host: Netlink,
  container: Netlink,
  netns: string,
  inside: LinkSettings & { name: string },
  outside: Omit<LinkSettings, "name">,
): Wire {
  using handle = open(netns);
  for (let attempt = 1;; attempt++) {
    const name = randomVethName();
    try {
      // As the reference makes it: nothing queues on the host's end.
      const hostEnd = { up: true, txQueueLength: 0, ...outside, name };
      host.change(addVeth(hostEnd, { ...inside, netns: handle }));
    } catch (error) {
      if (!(error instanceof SystemError) || error.errnoName !== "EEXIST") throw error;
      if (container.findLink(inside.name)) {
        throw wrong(`the container has an interface ${inside.name} already`);
      }
      if (attempt === ATTEMPTS) throw error;
      continue;
    }
    // The host alone decides what it knows of the routers on the container's side.
    tryWriteSysctls([[`net/ipv6/conf/${name}/accept_ra`, "0"]]);
    return { host: host.link(name), inside: container.link(inside.name) };
  }
}

/**
 * Removes a wire by its end in the container, or by the host's end that ADD made: a container may
 * have renamed its own, and its namespace may be out of reach.
 */
export async function removeWire(call: Call): Promise<void> {
  using host = Netlink.open();
  using container = openNamespace(call.netns);
  const inside = container?.findLink(call.ifName);
  if (inside?.kind === "veth") return await removeLink(container!, inside);
  for (const { name, mac, sandbox } of prevResultOf(call)?.interfaces ?? []) {
    const link = sandbox === undefined && /^veth[0-9a-f]{8}$/.test(name)
      ? host.findLink(name)
      : undefined;
    if (link?.kind === "veth" && link.mac === mac) await removeLink(host, link);
  }
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
