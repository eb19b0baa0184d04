/**
 * `conditionsV4` and `conditionsV6`: matches of iptables that a packet must meet to be led to the
 * container. Addresses and devices are known here; other matches go to iptables as they are, if they
 * can be nothing but matches.
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
import { type Fields, wrong } from "../../lib/cni/fields.ts";
import { lookup, quote } from "../../lib/base/json.ts";

/** iptables(8): the flags of the matches, by what they match. */
const MATCHES: Readonly<Record<string, "source" | "destination" | "inDevice">> = {
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
      throw wrong(
        `${key} is of the backend "iptables", whose words it has here: take it out, or choose that backend`,
      );
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
    if (word === "-m" || word === "--match") {
      const rest = words.slice(i - (not ? 1 : 0));
      if (!rest.every(isOfMatch)) return config.fail(key, "matches of iptables, and nothing else");
      return { ...conditions, words: rest };
    }
    const match = lookup(MATCHES, word);
    if (!match || conditions[match]) {
      return config.fail(
        key,
        `-s, -d and -i, each once and with "!" in front or not, and then matches with -m: ${
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

/** iptables(8): what would make something else of a rule than a rule with one more condition. */
const COMMANDS = [
  ...["append", "check", "delete", "insert", "replace", "list", "list-rules", "flush", "zero"],
  ...["new-chain", "delete-chain", "policy", "rename-chain", "jump", "goto", "table", "fragment"],
  ...["set-counters", "modprobe", "wait", "verbose", "numeric", "exact", "line-numbers", "help"],
  ...["in-interface", "out-interface", "protocol", "proto", "source", "src", "destination", "dst"],
  ...["ipv4", "ipv6", "version", "noflush", "counters"],
];

/** A word of the options of matches; the program takes the beginning of an option for all of it. */
function isOfMatch(word: string): boolean {
  if (word === "!" || word === "-m" || word === "--match") return true;
  if (!word.startsWith("-")) return /^[A-Za-z0-9_.,:/+=%@~^*-]+$/.test(word);
  const [, option] = /^--([a-z0-9-]{3,})$/.exec(word) ?? [];
  return option !== undefined && !COMMANDS.some((one) => one.startsWith(option));
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
