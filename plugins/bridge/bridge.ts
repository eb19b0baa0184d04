/** The bridge on the host: made if it is missing, and its addresses. */
import { unlessRefused } from "../../lib/base/unless.ts";
import { readProcFile } from "../../lib/kernel/files.ts";
import { tryWriteSysctls } from "../../lib/kernel/sysctl.ts";
import { overlap, parsePrefix, type Prefix } from "../../lib/base/prefix.ts";
import { addAddress, deleteAddress } from "../../lib/netlink/address_changes.ts";
import { addLink, setLink } from "../../lib/netlink/link_changes.ts";
import { hexPairs } from "../../lib/netlink/link.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { interfaceAddress } from "../shared/addresses.ts";
import { wrong } from "../../lib/cni/fields.ts";
import type { BridgeConfig } from "./config.ts";

/**
 * The bridge, up. It stays if the ADD that made it fails: another one may use it by then.
 *
 * @throws {CniError} if something else has its name
 * @throws {SystemError}
 */
export function ensureBridge(
  host: Netlink,
  { bridge: name, mtu, promiscuous, vlan, hasTrunk }: BridgeConfig,
): Link {
  let found = host.describeLink(name);
  if (!found) {
    const kind = { kind: "bridge", vlanFiltering: vlan !== undefined || hasTrunk } as const;
    // Unless another ADD is faster.
    host.change({ ...addLink({ name, mtu, kind }), unless: "EEXIST" });
  }
  found ??= host.describeLink(name);
  if (!found) throw wrong(`the bridge ${name} was removed as soon as it was made`);
  const { link } = found;
  requireKind(link);
  const isUp = link.flags.includes("UP");
  const isPromiscuous = link.flags.includes("PROMISC");
  if (!isUp || (promiscuous && !isPromiscuous)) {
    // The host alone decides what it knows of routers on the bridge.
    tryWriteSysctls([[`net/ipv6/conf/${name}/accept_ra`, "0"]]);
    host.change(setLink(link.index, name, {
      up: true,
      ...promiscuous ? { promiscuous: true } : {},
    }));
  }
  return link;
}

/** @throws {CniError} if something else has the bridge's name */
export function requireBridge(host: Netlink, name: string): void {
  const link = host.findLink(name);
  if (link) requireKind(link);
}

function requireKind({ kind, name }: Link): void {
  if (kind !== "bridge") throw wrong(`${name} is there and is no bridge: name another one`);
}

/**
 * Gives the bridge, or the interface of its VLAN, the gateway's address.
 *
 * @param address in CIDR notation
 * @param force whether addresses that are in its way are taken off
 * @throws {CniError} if there is an address in its way
 * @throws {SystemError}
 */
export function ensureAddress(host: Netlink, link: Link, address: string, force: boolean): void {
  const wanted = parsePrefix(address)!;
  const existing = host.addressesOf(link.index)
    .map((one) => ({ ...one, prefix: parsePrefix(`${one.address}/${one.prefixLength}`)! }))
    .filter(({ prefix }) => prefix.family === wanted.family);
  if (existing.some(({ prefix }) => isSame(prefix, wanted))) return pinMac(host, link);
  for (const { address: other, prefixLength, prefix } of existing) {
    // An interface may have IPv6 addresses of several networks.
    if (wanted.family === 6 && !overlap(prefix, wanted)) continue;
    if (!force) {
      throw wrong(
        `${link.name} has the address ${other}/${prefixLength}, and should have ${address}: ` +
          "take it off, or set forceAddress",
      );
    }
    host.change(
      deleteAddress(link.index, link.name, interfaceAddress(`${other}/${prefixLength}`)),
    );
  }
  // Unless another ADD is faster.
  const added = addAddress(link.index, link.name, interfaceAddress(address));
  host.change({ ...added, unless: "EEXIST" });
  pinMac(host, link);
}

/** What the kernel calls a hardware address that somebody has set (NET_ADDR_SET). */
const IS_SET = "3";

/**
 * A bridge takes the lowest hardware address of its ports, which would change with them, and with it
 * what the containers know of their gateway: one that is set stays. One that has lost its last port
 * has none, and gets one as the kernel makes them.
 */
function pinMac(host: Netlink, { index, name, mac }: Link): void {
  if (assignmentOf(name, index) === IS_SET) return;
  host.change(setLink(index, name, { mac: mac && /[1-9a-f]/.test(mac) ? mac : randomMac() }));
}

/** How an interface came to its hardware address; undefined where /sys is of another namespace. */
function assignmentOf(name: string, index: number): string | undefined {
  const directory = `/sys/class/net/${name}`;
  return unlessRefused(() =>
    readProcFile(`${directory}/ifindex`).trim() === `${index}`
      ? readProcFile(`${directory}/addr_assign_type`).trim()
      : undefined
  );
}

/** A unicast address that is administered locally (IEEE 802). */
function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = bytes[0]! & 0xfe | 0x02;
  return hexPairs(bytes);
}

const isSame = (a: Prefix, b: Prefix) => a.value === b.value && a.length === b.length;
