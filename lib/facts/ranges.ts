/** The addresses that host-local gives out for a network, and how many are left. */
import { isObject, type JsonObject } from "../base/json.ts";
import { parseAddress, parsePrefix, showAddress, showNetwork } from "../base/prefix.ts";
import type { Traces } from "../cni/plugin_type.ts";
import { leasedAddresses } from "../containers/lease.ts";

/** Addresses that host-local gives out. */
export interface RangeView {
  subnet: string;
  first: string;
  last: string;
  /** How many addresses it can give out; a decimal number, since IPv6 has more than JSON counts. */
  size: string;
  used: number;
  free: string;
}

/** @param plugins of the network, with those that they call. @param traces where its leases are */
export function rangesIn(plugins: readonly JsonObject[], { addressStore }: Traces): RangeView[] {
  const leases = addressStore ? leasedAddresses(addressStore) : [];
  return plugins.filter(({ type }) => type === "host-local").flatMap(rangesOf)
    .flatMap((range) => rangeView(range, leases));
}

function rangesOf({ subnet, rangeStart, rangeEnd, gateway, ranges }: JsonObject): JsonObject[] {
  const old = typeof subnet === "string" ? [{ subnet, rangeStart, rangeEnd, gateway }] : [];
  const sets = Array.isArray(ranges) ? ranges : [];
  return [
    ...old as JsonObject[],
    ...sets.flatMap((set) => Array.isArray(set) ? set.filter(isObject) : []),
  ];
}

/** What host-local makes of a range: from the first host to the last, but the gateway. */
function rangeView(range: JsonObject, leases: readonly string[]): RangeView[] {
  const subnet = parsePrefix(String(range.subnet));
  if (!subnet) return [];
  const { family } = subnet;
  const given = (key: string) =>
    typeof range[key] === "string" ? parseAddress(range[key])?.value : undefined;
  const first = given("rangeStart") ?? subnet.first + 1n;
  const last = given("rangeEnd") ?? (family === 4 ? subnet.last - 1n : subnet.last);
  const gateway = given("gateway") ?? subnet.first + 1n;
  const size = last - first + 1n - (gateway >= first && gateway <= last ? 1n : 0n);
  const used = leases.filter((lease) => {
    const address = parseAddress(lease);
    return address?.family === family && address.value >= first && address.value <= last;
  }).length;
  return [{
    subnet: showNetwork(subnet),
    first: showAddress({ family, value: first }),
    last: showAddress({ family, value: last }),
    size: String(size),
    used,
    free: String(size - BigInt(used)),
  }];
}
