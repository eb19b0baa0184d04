/** Ranges of addresses (`ranges`, `subnet`, `rangeStart`, …), and the way through them. */
import {
  bitsOf,
  contains,
  overlap,
  parseAddress,
  type Prefix,
  showAddress,
  showNetwork,
  type Span,
} from "../../lib/base/prefix.ts";
import { type Fields, wrong } from "../../lib/cni/fields.ts";

export interface Range extends Span {
  subnet: Prefix;
  gateway: bigint;
}

/** Ranges of which an attachment gets one address. */
export type RangeSet = readonly Range[];

/** @throws {CniError} */
export function readRange(fields: Fields): Range {
  const subnet = fields.prefix("subnet") ??
    fields.fail("subnet", "the network that addresses are taken from (a.b.c.d/n)");
  const { family, value, first: network, length } = subnet;
  // In the reference's words, which podman looks for.
  if (length > bitsOf(family) - 2) {
    throw wrong(
      `${fields.at("subnet")}: Network ${showNetwork(subnet)} too small to allocate from`,
    );
  }
  if (value !== network) fields.fail("subnet", `the network's address, ${showNetwork(subnet)}`);
  // An IPv4 network ends with its broadcast address, which is no host's.
  const end = family === 4 ? subnet.last - 1n : subnet.last;
  const within = (key: string): bigint | undefined => {
    const text = fields.address(key);
    const address = text === undefined ? undefined : parseAddress(text)!;
    if (address && !contains(subnet, address)) {
      fields.fail(key, `in ${showNetwork(subnet)}`);
    }
    return address?.value;
  };
  const gateway = within("gateway") ?? network + 1n;
  const first = within("rangeStart") ?? network + 1n;
  const last = within("rangeEnd") ?? end;
  if (last < first) fields.fail("rangeEnd", `not before rangeStart, ${show(family, first)}`);
  return { family, first, last, subnet, gateway };
}

/** @throws {CniError} for an empty set, mixed families and ranges that overlap */
export function checkRangeSet(set: RangeSet, where: string): void {
  if (set.length === 0) throw wrong(`${where} is empty; it must hold a range`);
  if (set.some(({ family }) => family !== set[0]!.family)) {
    throw wrong(`${where} mixes IPv4 and IPv6; an attachment gets one address of each set`);
  }
  set.forEach((range, i) => {
    const other = set.slice(i + 1).find((one) => overlap(range, one));
    if (other) throw wrong(`${where}: ${showRange(range)} and ${showRange(other)} overlap`);
  });
}

export function rangeOf(set: RangeSet, family: 4 | 6, value: bigint): Range | undefined {
  return set.find((range) => contains(range, { family, value }));
}

/**
 * All addresses of a set but the gateways, each once, beginning after the one that was given out
 * last.
 */
export function* addressesAfter(set: RangeSet, last?: bigint): Generator<[bigint, Range]> {
  const at = last === undefined
    ? -1
    : set.findIndex((one) => one.first <= last && last <= one.last);
  const start = Math.max(at, 0);
  const parts: [Range, bigint, bigint][] = [];
  for (let i = 0; i < set.length; i++) {
    const range = set[(start + i) % set.length]!;
    parts.push([range, i === 0 && at >= 0 ? last! + 1n : range.first, range.last]);
  }
  if (at >= 0) parts.push([set[at]!, set[at]!.first, last!]);
  for (const [range, from, to] of parts) {
    for (let value = from; value <= to; value++) if (value !== range.gateway) yield [value, range];
  }
}

export function showRanges(set: RangeSet): string {
  return set.map(showRange).join(",");
}

const showRange = ({ family, first, last }: Range) =>
  `${show(family, first)}-${show(family, last)}`;
const show = (family: 4 | 6, value: bigint) => showAddress({ family, value });
