/** Making, changing and deleting interfaces (RTM_NEWLINK, RTM_DELLINK; linux/if_link.h). */
import { cString } from "../kernel/libc.ts";
import type { Handle } from "../kernel/files.ts";
import { type Change, changing, making } from "./change.ts";
import { attribute, joined, nested, structure, u16, u32, u8 } from "./message.ts";
import { IFINFOMSG_BYTES, IFLA, RTM } from "./numbers.ts";

const IFF_UP = 0x1;
const IFF_PROMISC = 0x100;
const IFF_ALLMULTI = 0x200;
const VETH_INFO_PEER = 1;

/** What may be set of an interface, at its making or later. */
export interface LinkSettings {
  /** A new name; the interface must be down on older kernels. */
  name?: string;
  /** In bytes. */
  mtu?: number;
  /** Hexadecimal pairs. */
  mac?: string;
  /** Index of the bridge or VRF that it becomes a port of; 0: of none any more. */
  master?: number;
  up?: boolean;
  /** A note that `ip link` shows; empty: none any more. */
  alias?: string;
  promiscuous?: boolean;
  allMulticast?: boolean;
  /** Length of the transmit queue, in packets. */
  txQueueLength?: number;
  /** The namespace that it is made in, or moves to: an open handle, or a process in it. */
  netns?: Handle | { pid: number };
}

export interface NewLink extends LinkSettings {
  name: string;
  kind: LinkKind;
  /** Its index, if the kernel is not to choose it. */
  index?: number;
  /** Index of the device below, which may be in the namespace that asks while this is in `netns`. */
  parent?: number;
}

/** What is particular to a kind of interface. */
export type LinkKind =
  | { kind: "bridge"; vlanFiltering?: boolean }
  | { kind: "macvlan"; mode: keyof typeof MACVLAN_MODES; broadcastQueueLength?: number }
  | { kind: "ipvlan"; mode: keyof typeof IPVLAN_MODES }
  | { kind: "vlan"; id: number }
  | { kind: "vrf"; table: number }
  | { kind: "dummy" }
  | { kind: "ifb" };

/** MACVLAN_MODE_* (linux/if_link.h). */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
/** IPVLAN_MODE_* (linux/if_link.h). */
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;

/** Makes an interface. The kernel's `EEXIST`: there is one of that name. */
export function addLink(link: NewLink): Change {
  const parent = link.parent === undefined ? [] : [attribute(IFLA.LINK, u32(link.parent))];
  return making(RTM.NEWLINK, `make the ${link.kind.kind} ${link.name}`, [
    header(link.index ?? 0, link),
    ...parent,
    ...settings(link),
    nested(IFLA.LINKINFO, [
      attribute(IFLA.INFO_KIND, cString(link.kind.kind)),
      ...kindData(link.kind),
    ]),
  ]);
}

/**
 * Asks for an interface of a kind without what that kind needs: the kernel refuses a kind that it
 * doesn't know with `EOPNOTSUPP`, and one that it knows for what is missing, if it refuses it.
 */
export function probeKind(kind: string): Change {
  return making(RTM.NEWLINK, `make a ${kind}`, [
    header(0, {}),
    nested(IFLA.LINKINFO, [attribute(IFLA.INFO_KIND, cString(kind))]),
  ]);
}

/**
 * Makes both ends of a wire at once, each where it belongs: nothing is moved or renamed later, and
 * there is no moment with one end.
 */
export function addVeth(
  link: LinkSettings & { name: string },
  peer: LinkSettings & { name: string },
): Change {
  return making(RTM.NEWLINK, `make the veth pair ${link.name} and ${peer.name}`, [
    header(0, link),
    ...settings(link),
    nested(IFLA.LINKINFO, [
      attribute(IFLA.INFO_KIND, cString("veth")),
      nested(IFLA.INFO_DATA, [
        attribute(VETH_INFO_PEER, joined([header(0, peer), ...settings(peer)])),
      ]),
    ]),
  ]);
}

/** Changes an interface. @param name for the error */
export function setLink(index: number, name: string, change: LinkSettings): Change {
  return changing(RTM.NEWLINK, `change ${name}`, [header(index, change), ...settings(change)]);
}

/**
 * Deletes an interface; a veth's other end goes too.
 *
 * @param name for the error
 * @param namespaceId as of `Netlink.linkAt`
 */
export function deleteLink(index: number, name: string, namespaceId?: number): Change {
  return changing(RTM.DELLINK, `delete ${name}`, [header(index, {}), ...inNamespace(namespaceId)]);
}

/** Has a request be about a namespace that the asking one knows by this number. */
export function inNamespace(id: number | undefined): Uint8Array[] {
  return id === undefined ? [] : [attribute(IFLA.TARGET_NETNSID, u32(id))];
}

/** struct ifinfomsg, whose change mask names the flags that count. */
function header(index: number, { up, promiscuous, allMulticast }: LinkSettings): Uint8Array {
  const wanted = [[IFF_UP, up], [IFF_PROMISC, promiscuous], [IFF_ALLMULTI, allMulticast]] as const;
  const sum = (choose: (on: boolean) => boolean) =>
    wanted.reduce((bits, [bit, on]) => on !== undefined && choose(on) ? bits | bit : bits, 0);
  return structure(IFINFOMSG_BYTES, [4, index, 4], [8, sum((on) => on), 4], [
    12,
    sum(() => true),
    4,
  ]);
}

function settings(link: LinkSettings): Uint8Array[] {
  const { name, mtu, mac, master, txQueueLength, alias, netns } = link;
  const parts: Uint8Array[] = [];
  if (name !== undefined) parts.push(attribute(IFLA.IFNAME, cString(name)));
  if (mtu !== undefined) parts.push(attribute(IFLA.MTU, u32(mtu)));
  if (mac !== undefined) parts.push(attribute(IFLA.ADDRESS, macBytes(mac)));
  if (master !== undefined) parts.push(attribute(IFLA.MASTER, u32(master)));
  if (txQueueLength !== undefined) parts.push(attribute(IFLA.TXQLEN, u32(txQueueLength)));
  if (alias !== undefined) {
    parts.push(attribute(IFLA.IFALIAS, new TextEncoder().encode(alias)));
  }
  if (netns !== undefined) {
    parts.push(
      "fd" in netns
        ? attribute(IFLA.NET_NS_FD, u32(netns.fd))
        : attribute(IFLA.NET_NS_PID, u32(netns.pid)),
    );
  }
  return parts;
}

function kindData(kind: LinkKind): Uint8Array[] {
  const parts = dataParts(kind);
  return parts.length === 0 ? [] : [nested(IFLA.INFO_DATA, parts)];
}

function dataParts(kind: LinkKind): Uint8Array[] {
  switch (kind.kind) {
    case "bridge":
      return kind.vlanFiltering ? [attribute(IFLA.BR_VLAN_FILTERING, u8(1))] : [];
    case "macvlan":
      return [
        attribute(IFLA.MACVLAN_MODE, u32(MACVLAN_MODES[kind.mode])),
        ...kind.broadcastQueueLength
          ? [attribute(IFLA.MACVLAN_BC_QUEUE_LEN, u32(kind.broadcastQueueLength))]
          : [],
      ];
    case "ipvlan":
      return [attribute(IFLA.IPVLAN_MODE, u16(IPVLAN_MODES[kind.mode]))];
    case "vlan":
      return [attribute(IFLA.VLAN_ID, u16(kind.id))];
    case "vrf":
      return [attribute(IFLA.VRF_TABLE, u32(kind.table))];
    case "dummy":
    case "ifb":
      return [];
  }
}

/** The bytes of hexadecimal pairs. */
export function macBytes(mac: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(mac.split(/[:-]/).map((pair) => parseInt(pair, 16)));
}
