/**
 * Interfaces of a container on top of one of the host's, or of its own (`linkInContainer`): what
 * macvlan, ipvlan and vlan have in common.
 */
import type { Interface } from "../../lib/cni/result.ts";
import { open } from "../../lib/kernel/files.ts";
import { addLink, type LinkKind, setLink } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { wrong } from "../../lib/cni/fields.ts";
import type { Call, LiveCall } from "./standard_plugin.ts";
import { removeLink } from "./veth.ts";

/** The interface below, and netlink in its namespace. */
export interface Master {
  link: Link;
  netlink: Netlink;
}

/** Finds the interface below: `master`, or the one of the default route. @throws {CniError} */
export function findMaster(call: Call, host: Netlink, container: Netlink, name?: string): Master {
  const netlink = call.config.flag("linkInContainer") ? container : host;
  const wanted = name ?? (call.config.text("master") || undefined);
  const link = wanted === undefined ? defaultRouteLink(netlink) : netlink.findLink(wanted);
  if (link) return { link, netlink };
  const where = netlink === host ? "the host" : "the container";
  throw wrong(
    wanted === undefined
      ? `master is missing, and ${where} has no default route whose interface could be it`
      : `master is ${JSON.stringify(wanted)}, which ${where} has no interface of`,
  );
}

function defaultRouteLink(netlink: Netlink): Link | undefined {
  const route = netlink.routes().find(({ destination, table, link }) =>
    destination === "default" && table === "main" && link !== undefined
  );
  return route && netlink.links().find(({ index }) => index === route.link);
}

/** `mtu`, at most that of the interface below. @throws {CniError} */
export function readMtu({ config }: Call, { link }: Master): number | undefined {
  const mtu = config.integer("mtu") ?? 0;
  if (mtu < 0 || mtu > link.mtu) {
    config.fail("mtu", `from 0 (of its own accord) to ${link.mtu}, that of ${link.name}`);
  }
  return mtu || undefined;
}

/** `mode`, one that the kernel has. @throws {CniError} */
export function readMode<M extends string>(
  { config }: Call,
  modes: Readonly<Record<M, number>>,
  usual: M,
): M {
  const mode = config.text("mode") || usual;
  if (Object.hasOwn(modes, mode)) return mode as M;
  return config.fail("mode", Object.keys(modes).join(", "));
}

/** Settings by which the network hears of a new address. */
export const announced = (ifName: string): [path: string, value: string][] => [
  [`net/ipv4/conf/${ifName}/arp_notify`, "1"],
  [`net/ipv6/conf/${ifName}/ndisc_notify`, "1"],
];

/**
 * Makes the container's interface. It gets its name in a second step: the kernel looks for the
 * name in the namespace of the interface below first, where it may be another one's.
 *
 * @throws {SystemError} with nothing left behind
 */
export async function makeStacked(
  { ifName, netns }: LiveCall,
  index: number,
  container: Netlink,
  master: Master,
  kind: LinkKind,
  settings: { mtu?: number; mac?: string },
): Promise<Link> {
  const name = `cni${index}`;
  {
    using handle = open(netns);
    const parent = master.link.index;
    master.netlink.change(addLink({ name, index, kind, parent, netns: handle, ...settings }));
  }
  const made = container.link(name);
  try {
    container.change(setLink(made.index, name, { name: ifName }));
  } catch (error) {
    await removeLink(container, made);
    throw error;
  }
  return { ...made, name: ifName };
}

/** How the result names it. */
export function insideInterface({ netns }: LiveCall, { name, mac }: Link): Interface {
  return { name, ...mac ? { mac } : {}, sandbox: netns };
}
