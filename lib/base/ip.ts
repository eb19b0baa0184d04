/**
 * IP addresses between text and bytes: the one home of that, without a library, since every plugin
 * call needs it. Text is what RFC 4291 allows and Go's net.ParseIP takes: no leading zeros in
 * dotted parts, no zone, no prefix length. Arithmetic on networks is in prefix.ts.
 */
import { OperatorError } from "./error.ts";

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

/** The addresses that stand for every address of their family. */
export const ANY_ADDRESS: Readonly<Record<Family, string>> = { 4: "0.0.0.0", 6: "::" };

const GROUP = /^[0-9a-fA-F]{1,4}$/;

/** The 4 or 16 bytes of an address, most significant first; undefined if `text` is none. */
export function parseAddressBytes(text: string): Uint8Array<ArrayBuffer> | undefined {
  const octets = ipv4Octets(text);
  if (octets) return new Uint8Array(octets);
  const groups = ipv6Groups(text);
  return groups && new Uint8Array(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Each as it is written: no sign, no leading zero. */
function ipv4Octets(text: string): number[] | undefined {
  const octets = text.split(".").map(Number);
  const isWritten = octets.length === 4 && octets.join(".") === text;
  return isWritten && octets.every((octet) => octet >= 0 && octet <= 255) ? octets : undefined;
}

/** RFC 4291, section 2.2: eight groups, of which `::` may stand for one or more zero groups. */
function ipv6Groups(text: string): number[] | undefined {
  if (!text.includes(":")) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => half === "" ? [] : half.split(":"));
  const last = (tail ?? head)!;
  const dotted = last.at(-1);
  const octets = ipv4Octets(dotted ?? "");
  if (octets) {
    const [a, b, c, d] = octets as [number, number, number, number];
    last.splice(-1, 1, (a << 8 | b).toString(16), (c << 8 | d).toString(16));
  }
  const given = [...head!, ...tail ?? []];
  if (!given.every((group) => GROUP.test(group))) return undefined;
  if (tail ? given.length > 7 : given.length !== 8) return undefined;
  const zeros = new Array<string>(8 - given.length).fill("0");
  return [...head!, ...zeros, ...tail ?? []].map((group) => parseInt(group, 16));
}

/** @throws {OperatorError} `bad_address` if `text` is no address */
export function addressBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = parseAddressBytes(text);
  if (bytes) return bytes;
  throw new OperatorError("bad_address", `not an IP address: ${JSON.stringify(text)}`);
}

/** The usual text of an address of 4 or 16 bytes (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new TypeError(`an address of ${bytes.length} bytes`);
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i]! << 8 | bytes[2 * i + 1]!);
  // An IPv4-mapped address keeps its dots (RFC 5952, section 5).
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  const [start, length] = longestZeros(groups);
  const words = groups.map((group) => group.toString(16));
  if (length < 2) return words.join(":");
  return `${words.slice(0, start).join(":")}::${words.slice(start + length).join(":")}`;
}

/** The first of the longest runs of zero groups, which `::` stands for. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
    start = Math.max(start, end - 1);
  }
  return best;
}

/** The family of an address without prefix length; undefined if it is none. */
export function familyOf(address: string): Family | undefined {
  const bytes = parseAddressBytes(address);
  return bytes && (bytes.length === 4 ? 4 : 6);
}

/** The family of a text that is known to be an address, such as what the kernel printed. */
export function familyOfKnown(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** The families that known addresses are of. */
export function familiesOf(addresses: readonly string[]): Family[] {
  return FAMILIES.filter((family) => addresses.some((one) => familyOfKnown(one) === family));
}

/** The family of an address in CIDR notation (`10.0.0.1/8`); undefined if it is none. */
export function familyOfCidr(cidr: string): Family | undefined {
  const [address, length, ...more] = cidr.split("/");
  if (address === undefined || length === undefined || more.length > 0) return undefined;
  const family = familyOf(address);
  const longest = family === 4 ? 32 : 128;
  return /^(?:0|[1-9]\d{0,2})$/.test(length) && Number(length) <= longest ? family : undefined;
}

/** Whether `text` is an IP address, without prefix length. */
export function isAddress(text: string): boolean {
  return familyOf(text) !== undefined;
}

/** Whether an address is the host's own to itself. */
export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/**
 * An address in its one usual spelling, by which two that are the same are equal.
 *
 * @throws {OperatorError} `bad_address` if it is none
 */
export function canonicalAddress(text: string): string {
  return addressText(addressBytes(text));
}

/** An address with the bits behind its prefix length cleared: the network it is in. */
export function networkBytes(address: Uint8Array, prefixLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(address.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & (0xff << (8 - bits));
  }));
}

/** Whether an address lies in a prefix (without a length: is that address); not in a wrong one. */
export function within(address: string, prefix: string): boolean {
  const [network, length] = prefix.split("/") as [string, string?];
  const bytes = parseAddressBytes(address);
  const wanted = parseAddressBytes(network);
  if (!bytes || !wanted || bytes.length !== wanted.length) return false;
  const bits = length === undefined ? bytes.length * 8 : Number(length);
  if (!(bits >= 0 && bits <= bytes.length * 8)) return false;
  return networkBytes(bytes, bits).every((byte, i) => byte === networkBytes(wanted, bits)[i]);
}

/** `10.1.0.0/16`, the network of an address with the length of its prefix. */
export function networkText(address: string, prefixLength: number): string {
  return `${addressText(networkBytes(addressBytes(address), prefixLength))}/${prefixLength}`;
}
