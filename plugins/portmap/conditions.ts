/**
 * `conditionsV4` and `conditionsV6`: matches of iptables that a packet must meet to be led to the
 * container. Addresses and devices are known here; what else iptables can match is refused, since
 * to leave a condition out would let through more than was asked for.
 */
import { bitsOf, parsePrefix, showNetwork } from "../../lib/base/prefix.ts";
import { type Family, familyOf } from "../../lib/base/ip.ts";
import { network } from "../../lib/firewall/rule.ts";
import {
  type Conditions,
  isDevice,
  type Mapping,
  type Placement,
} from "../../lib/ports/mapping.ts";
import { type Fields, wrong } from "../shared/fields.ts";
import { lookup, quote } from "../../lib/base/json.ts";

/** iptables(8): the flags of the matches, by what they match. */
const MATCHES: Readonly<Record<string, keyof Conditions>> = {
  "-s": "source",
  "--source": "source",
  "--src": "source",
  "-d": "destination",
  "--destination": "destination",
  "--dst": "destination",
  "-i": "inDevice",
  "--in-interface": "inDevice",
};

/** The conditions of both families; undefined where there are none. @throws {CniError} */
export function readConditions(config: Fields, backend: string): Placement["conditions"] {
  const found: { [family in Family]?: Conditions } = {};
  for (const family of [4, 6] as const) {
    const key = `conditionsV${family}`;
    const words = config.texts(key);
    if (words.length === 0) continue;
    if (backend === "nftables") {
      throw wrong(`${key} is of the backend "iptables": take it out, or choose that backend`);
    }
    found[family] = parse(config, key, words, family);
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

function parse(config: Fields, key: string, words: readonly string[], family: Family): Conditions {
  const conditions: Conditions = {};
  let not = false;
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "!" && !not) {
      not = true;
      continue;
    }
    const word = words[i]!;
    const match = lookup(MATCHES, word);
    if (!match || conditions[match]) {
      return config.fail(
        key,
        `-s, -d and -i, each once and with "!" in front or not, but no more: ${
          quote(word)
        } is neither`,
      );
    }
    const value = words[++i] ?? "";
    if (match === "inDevice") {
      if (!isDevice(value)) return config.fail(key, `a device behind ${word}`);
      conditions.inDevice = { is: value, not };
    } else {
      const prefix = parsePrefix(value.includes("/") ? value : `${value}/${bitsOf(family)}`);
      // An IPv4-mapped address is one of IPv6 to iptables.
      if (prefix?.family !== family || familyOf(value.split("/")[0]!) !== family) {
        return config.fail(key, `an IPv${family} address or network behind ${word}`);
      }
      if (not && prefix.length === 0) return config.fail(key, "one that some packet can meet");
      conditions[match] = network(showNetwork(prefix), not);
    }
    not = false;
  }
  if (not) return config.fail(key, 'a match behind "!"');
  return conditions;
}

/** A rule has one destination. @throws {CniError} if a mapping and a condition name one each */
export function requireOneDestination(
  { conditions }: Placement,
  mappings: readonly Mapping[],
): void {
  const key = [4, 6].find((family) => conditions?.[family as Family]?.destination);
  if (key && mappings.some(({ hostAddress }) => hostAddress !== undefined)) {
    throw wrong(
      `conditionsV${key} has -d, and a port mapping a hostIP: there can be only one of them`,
    );
  }
}
