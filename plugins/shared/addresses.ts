/** Addresses and networks of results and configs, as netlink wants them. */
import { addressBytes, networkBytes } from "../../lib/base/ip.ts";
import { bytesOf, parseAddress, parsePrefix, type Prefix } from "../../lib/base/prefix.ts";
import type { InterfaceAddress } from "../../lib/netlink/address_changes.ts";

/** @param cidr in CIDR notation, as a result holds it */
export function prefixOf(cidr: string): Prefix {
  const prefix = parsePrefix(cidr);
  if (!prefix) throw new TypeError(`not in CIDR notation: ${cidr}`);
  return prefix;
}

/** An address with its host bits. */
export function interfaceAddress(cidr: string): InterfaceAddress {
  const prefix = prefixOf(cidr);
  return { bytes: bytesOf(prefix), prefixLength: prefix.length };
}

/** The network of an address. */
export function networkOf({ bytes, prefixLength }: InterfaceAddress): InterfaceAddress {
  return { bytes: networkBytes(bytes, prefixLength), prefixLength };
}

/** An address alone: the network that holds nothing else. */
export function hostNetwork(bytes: Uint8Array): InterfaceAddress {
  return { bytes, prefixLength: bytes.length * 8 };
}

/** The bytes of an address; an IPv4-mapped one is the IPv4 address. */
export function bytesOfAddress(text: string): Uint8Array {
  const address = parseAddress(text);
  return address ? bytesOf(address) : addressBytes(text);
}

/** The address of an address in CIDR notation, without its prefix length. */
export function withoutLength(cidr: string): string {
  return cidr.slice(0, cidr.indexOf("/"));
}

export function isV6(text: string): boolean {
  return text.includes(":");
}
