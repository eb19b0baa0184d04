/**
 * Arithmetic on addresses and networks, on the numbers behind them. As in Go, whose plugins read
 * the same configs, an IPv4-mapped IPv6 address is the IPv4 address.
 */
import { addressText, parseAddressBytes } from "./ip.ts";

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

/** The first value of `::ffff:0:0/96`, the IPv4-mapped addresses. */
const MAPPED = 0xffff_0000_0000n;

export function parseAddress(text: string): Address | undefined {
  const bytes = parseAddressBytes(text);
  if (!bytes) return undefined;
  const value = bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  if (bytes.length === 4) return { family: 4, value };
  return value >> 32n === MAPPED >> 32n
    ? { family: 4, value: value & 0xffff_ffffn }
    : { family: 6, value };
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

/** The 4 or 16 bytes of an address. */
export function bytesOf({ family, value }: Address): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) {
    bytes[i] = Number(rest & 0xffn);
  }
  return bytes;
}

/** The way RFC 5952 writes an address. */
export function showAddress(address: Address): string {
  return addressText(bytesOf(address));
}

/** The network of a prefix, without host bits. */
export function showNetwork({ family, first, length }: Prefix): string {
  return `${showAddress({ family, value: first })}/${length}`;
}

/** Whether an address is in a range, or in the network of a prefix. */
export function contains(span: Span, address: Address): boolean {
  return span.family === address.family && span.first <= address.value &&
    address.value <= span.last;
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

/** How many bits an address of a family has. */
export function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}
