/** Network interfaces as the kernel describes them (RTM_NEWLINK, linux/if_link.h). */
import { type Message, opened, view } from "./message.ts";
import { IFINFOMSG_BYTES, IFLA } from "./numbers.ts";

/** A network interface. */
export type Link = ReturnType<typeof decodeLink>;

/** Counters since the interface was made (struct rtnl_link_stats64). */
export type LinkStatistics = ReturnType<typeof decodeStatistics>;

const ARPHRD_LOOPBACK = 772;

/** The bits of linux/if.h, under iproute2's names and in its order. */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x8, "LOOPBACK"],
  [0x2, "BROADCAST"],
  [0x10, "POINTOPOINT"],
  [0x1000, "MULTICAST"],
  [0x80, "NOARP"],
  [0x200, "ALLMULTI"],
  [0x100, "PROMISC"],
  [0x400, "MASTER"],
  [0x800, "SLAVE"],
  [0x4, "DEBUG"],
  [0x8000, "DYNAMIC"],
  [0x4000, "AUTOMEDIA"],
  [0x2000, "PORTSEL"],
  [0x20, "NOTRAILERS"],
  [0x1, "UP"],
  [0x10000, "LOWER_UP"],
  [0x20000, "DORMANT"],
  [0x40000, "ECHO"],
];

const OPER_STATES = [
  "UNKNOWN",
  "NOTPRESENT",
  "DOWN",
  "LOWERLAYERDOWN",
  "TESTING",
  "DORMANT",
  "UP",
] as const;

/** Decodes a message RTM_NEWLINK (struct ifinfomsg and attributes). */
export function decodeLink(message: Message) {
  const [header, attributes] = opened(message.body, IFINFOMSG_BYTES);
  const type = header.getUint16(2, true);
  const flags = header.getUint32(8, true);
  const mac = attributes.bytes(IFLA.ADDRESS);
  return {
    index: header.getInt32(4, true),
    name: attributes.text(IFLA.IFNAME) ?? "",
    /** `veth`, `bridge`, `vxlan`, …; `loopback` for lo; absent for hardware. */
    kind: attributes.nested(IFLA.LINKINFO).text(IFLA.INFO_KIND) ??
      (type === ARPHRD_LOOPBACK ? "loopback" : undefined),
    /** As `ip link` prints them: `UP`, `LOWER_UP`, `BROADCAST`, … */
    flags: FLAGS.filter(([bit]) => flags & bit).map(([, name]) => name),
    /** `UP`, `DOWN`, `LOWERLAYERDOWN`, `UNKNOWN`, … (RFC 2863). */
    operState: OPER_STATES[attributes.u8(IFLA.OPERSTATE) ?? 0] ?? "UNKNOWN",
    /** Whether the layer below has a signal. */
    carrier: attributes.u8(IFLA.CARRIER) === 1,
    /** In bytes. */
    mtu: attributes.u32(IFLA.MTU) ?? 0,
    /** Hardware address, as hexadecimal pairs. */
    mac: mac && mac.length > 0 ? hexPairs(mac) : undefined,
    /** Index of the bridge or bond that it belongs to. */
    master: attributes.u32(IFLA.MASTER),
    /** Index of the veth's other end, or of the device below a macvlan or vlan. */
    peerIndex: attributes.u32(IFLA.LINK),
    /** Id, in this namespace, of the namespace that `peerIndex` counts in; absent for this one. */
    peerNamespaceId: attributes.i32(IFLA.LINK_NETNSID),
    alias: attributes.text(IFLA.IFALIAS),
    statistics: decodeStatistics(attributes.bytes(IFLA.STATS64)),
  };
}

/** A hardware address as text. */
export function hexPairs(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Decodes a struct rtnl_link_stats64 (linux/if_link.h); all zero without one. */
export function decodeStatistics(bytes: Uint8Array | undefined) {
  // Counters of 64 bits become numbers that are exact up to 2^53, which is 9 petabytes.
  const counter = (index: number) =>
    bytes && bytes.length >= index * 8 + 8 ? Number(view(bytes).getBigUint64(index * 8, true)) : 0;
  return {
    rxPackets: counter(0),
    txPackets: counter(1),
    rxBytes: counter(2),
    txBytes: counter(3),
    rxErrors: counter(4),
    txErrors: counter(5),
    rxDropped: counter(6),
    txDropped: counter(7),
    multicast: counter(8),
    collisions: counter(9),
  };
}
