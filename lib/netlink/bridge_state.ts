/** The ports of bridges as they are, and which port a bridge sends a frame to (linux/if_link.h, linux/neighbour.h). */
import { attribute, eachAttribute, type Message, opened, structure, u32, view } from "./message.ts";
import { hexPairs } from "./link.ts";
import { macBytes } from "./link_changes.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./socket.ts";
import { errno, unless } from "../base/unless.ts";
import { IFINFOMSG_BYTES, IFLA, NDA, NDMSG_BYTES, RTM } from "./numbers.ts";

const AF_BRIDGE = 7;
const NUD_PERMANENT = 0x80, NUD_NOARP = 0x40;

const OF_BRIDGES = structure(IFINFOMSG_BYTES, [0, AF_BRIDGE, 1]);

const STATES = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;

export type BridgePort = NonNullable<ReturnType<typeof decodePort>>;

/** @throws {SystemError} */
export function bridgePorts(): BridgePort[] {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  return socket.dump(RTM.GETLINK, [OF_BRIDGES], "list ports of bridges", decodePort);
}

/** Decodes RTM_NEWLINK of the family AF_BRIDGE; undefined for the bridge itself. */
export function decodePort({ body }: Message) {
  const [header, attributes] = opened(body, IFINFOMSG_BYTES);
  const port = attributes.nested(IFLA.PROTINFO);
  const state = port.u8(1);
  const master = attributes.u32(IFLA.MASTER);
  if (state === undefined || master === undefined) return undefined;
  const flag = (type: number, otherwise: boolean) => {
    const value = port.u8(type);
    return value === undefined ? otherwise : value !== 0;
  };
  return {
    index: header.getInt32(4, true),
    master,
    state: STATES[state] ?? "disabled",
    hairpin: flag(4, false),
    learning: flag(8, true),
    /** Whether frames to a hardware address that no port is known for go out here. */
    unicastFlood: flag(9, true),
    multicastFlood: flag(27, true),
    broadcastFlood: flag(30, true),
    /** Answers ARP instead of letting it through, if it can. */
    neighbourSuppress: flag(32, false),
    /** Talks to ports that are not isolated only. */
    isolated: flag(33, false),
    /** Takes frames only from hardware addresses that are in the forwarding table. */
    locked: flag(39, false),
  };
}

/** An entry of a bridge's forwarding table. */
export type ForwardingEntry = NonNullable<ReturnType<typeof decodeForwarding>>;

/**
 * Where a bridge sends frames to a hardware address, without a VLAN. Only these entries are asked for: a
 * neighbour's flood can fill the table with hundreds of thousands.
 *
 * @throws {SystemError}
 */
export function bridgeEntries(bridge: number, mac: string): ForwardingEntry[] {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  const parts = [
    structure(NDMSG_BYTES, [0, AF_BRIDGE, 1]),
    attribute(NDA.LLADDR, macBytes(mac)),
    attribute(NDA.MASTER, u32(bridge)),
  ];
  const ask = () => socket.request(RTM.GETNEIGH, 0, parts, `look for ${mac}`);
  return (unless(errno("ENOENT"), ask) ?? []).flatMap((message) => decodeForwarding(message) ?? []);
}

const NTF_SELF = 2;
/** An entry of this one is for all that have none (vxlan's default remote). */
const ANY = "00:00:00:00:00:00";

/** The machine to which a vxlan sends frames to a hardware address; undefined for none. @throws {SystemError} */
export function tunnelEnd(tunnel: number, mac: string): string | undefined {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  for (const one of [mac, ANY]) {
    const parts = [
      structure(NDMSG_BYTES, [0, AF_BRIDGE, 1], [4, tunnel, 4], [10, NTF_SELF, 1]),
      attribute(NDA.LLADDR, macBytes(one)),
    ];
    const ask = () => socket.request(RTM.GETNEIGH, 0, parts, `look for ${one}`);
    const [found] = unless(errno("ENOENT"), ask) ?? [];
    if (found) return opened(found.body, NDMSG_BYTES)[1].address(NDA.DST);
  }
  return undefined;
}

export function decodeForwarding({ body }: Message) {
  const [fixed, attributes] = opened(body, NDMSG_BYTES);
  const mac = attributes.bytes(NDA.LLADDR);
  if (body[0] !== AF_BRIDGE || !mac) return undefined;
  const state = fixed.getUint16(8, true);
  return {
    mac: hexPairs(mac),
    /** Index of the port, or of the bridge itself. */
    link: fixed.getInt32(4, true),
    master: attributes.u32(NDA.MASTER),
    permanent: (state & NUD_PERMANENT) !== 0,
    /** `static` of `bridge fdb`: never learned anew. */
    fixed: (state & NUD_NOARP) !== 0,
  };
}

export interface PortVlan {
  id: number;
  /** Whether untagged frames that come in belong to it. */
  pvid: boolean;
}

const RTEXT_FILTER_BRVLAN = 2;
const BRIDGE_VLAN_INFO_PVID = 2;

/** Bridges by their indices: which filter by VLANs, speak STP, or know who has joined a group; and VLANs of ports. */
export class BridgeVlans {
  readonly filtering = new Set<number>();
  readonly spanning = new Set<number>();
  readonly snooping = new Set<number>();
  readonly ports = new Map<number, PortVlan[]>();
}

/** The VLANs of each port and bridge, and what bridges do. @throws {SystemError} */
export function bridgeVlans(): BridgeVlans {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  const found = new BridgeVlans();
  socket.dump(RTM.GETLINK, [new Uint8Array(IFINFOMSG_BYTES)], "list bridges", ({ body }) => {
    const [header, attributes] = opened(body, IFINFOMSG_BYTES);
    const info = attributes.nested(IFLA.LINKINFO);
    if (info.text(1) !== "bridge") return undefined;
    const index = header.getInt32(4, true);
    const settings = info.nested(IFLA.INFO_DATA);
    if (settings.u8(IFLA.BR_VLAN_FILTERING) === 1) found.filtering.add(index);
    if (settings.u32(IFLA.BR_STP_STATE)) found.spanning.add(index);
    if (settings.u8(IFLA.BR_MCAST_SNOOPING) === 1) found.snooping.add(index);
    return undefined;
  });
  if (found.filtering.size === 0) return found;
  socket.dump(
    RTM.GETLINK,
    [OF_BRIDGES, attribute(IFLA.EXT_MASK, u32(RTEXT_FILTER_BRVLAN))],
    "list VLANs",
    (message) => {
      const { index, vlans } = decodePortVlans(message);
      found.ports.set(index, vlans);
      return undefined;
    },
  );
  return found;
}

/** Decodes the VLANs of RTM_NEWLINK of the family AF_BRIDGE. */
export function decodePortVlans({ body }: Message): { index: number; vlans: PortVlan[] } {
  const [header, attributes] = opened(body, IFINFOMSG_BYTES);
  const vlans: PortVlan[] = [];
  for (const [type, value] of eachAttribute(attributes.bytes(IFLA.AF_SPEC) ?? new Uint8Array())) {
    if (type !== IFLA.BRIDGE_VLAN_INFO || value.length < 4) continue;
    vlans.push({
      id: view(value).getUint16(2, true),
      pvid: (view(value).getUint16(0, true) & BRIDGE_VLAN_INFO_PVID) !== 0,
    });
  }
  return { index: header.getInt32(4, true), vlans };
}
