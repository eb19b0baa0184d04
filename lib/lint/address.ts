/**
 * IP addresses and prefixes as the plugins read them: Go's net.ParseIP and net.ParseCIDR, which
 * take neither leading zeros nor short forms nor zones.
 */
import ipaddr from "ipaddr.js";

export interface Address {
  family: 4 | 6;
  value: bigint;
}

export interface Prefix extends Address {
  /** Prefix length. */
  length: number;
  /** `value` with the host bits cleared. */
  first: bigint;
  /** `value` with the host bits set. */
  last: bigint;
}

/** An inclusive range of addresses. */
export interface Span {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

const DOTTED = /^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}$/;

export function parseAddress(text: string): Address | undefined {
  if (DOTTED.test(text)) {
    if (!ipaddr.IPv4.isValid(text)) return undefined;
    return { family: 4, value: toBigInt(ipaddr.IPv4.parse(text).toByteArray()) };
  }
  if (text.includes("%") || !text.includes(":") || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  // As in Go, an IPv4-mapped address is the IPv4 address.
  return address.isIPv4MappedAddress()
    ? { family: 4, value: toBigInt(address.toIPv4Address().toByteArray()) }
    : { family: 6, value: toBigInt(address.toByteArray()) };
}

export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const address = match && parseAddress(match[1]!);
  if (!address) return undefined;
  const length = Number(match[2]);
  const bits = bitsOf(address.family);
  if (length > bits) return undefined;
  const hosts = (1n << BigInt(bits - length)) - 1n;
  return { ...address, length, first: address.value & ~hosts, last: address.value | hosts };
}

/** The way RFC 5952 writes an address. */
export function showAddress({ family, value }: Address): string {
  const bytes: number[] = [];
  for (let i = bitsOf(family) - 8; i >= 0; i -= 8) bytes.push(Number((value >> BigInt(i)) & 255n));
  return ipaddr.fromByteArray(bytes).toString();
}

/** The network of a prefix, without host bits. */
export function showNetwork({ family, first, length }: Prefix): string {
  return `${showAddress({ family, value: first })}/${length}`;
}

export function contains(span: Span, address: Address): boolean {
  return span.family === address.family && span.first <= address.value &&
    address.value <= span.last;
}

/** Whether an address is in the network of a prefix. */
export function within(network: Prefix, address: Address): boolean {
  return contains({ family: network.family, first: network.first, last: network.last }, address);
}

export function overlap(a: Span, b: Span): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/**
 * Pairs of spans that overlap: for each that does, one of those it overlaps with.
 * In the order of addresses, since only then not all pairs need be looked at.
 */
export function* overlaps<T extends { span: Span }>(items: readonly T[]): Generator<[T, T]> {
  const sorted = [...items].sort((a, b) =>
    a.span.family - b.span.family || compare(a.span.first, b.span.first)
  );
  let widest: T | undefined;
  for (const item of sorted) {
    if (widest && overlap(widest.span, item.span)) yield [widest, item];
    if (!widest || widest.span.family !== item.span.family || item.span.last > widest.span.last) {
      widest = item;
    }
  }
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function toBigInt(bytes: number[]): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
