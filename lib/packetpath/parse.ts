/** The rules that `iptables -S` prints, decoded as far as the path of a packet needs it. */
import { lookup } from "../base/json.ts";

/** A rule of a chain. What a match means that is not decoded here stands in `unknown`. */
export interface FirewallRule {
  chain: string;
  /** As `iptables -S` prints it. */
  text: string;
  protocol?: Negatable;
  source?: Negatable;
  destination?: Negatable;
  input?: Negatable;
  output?: Negatable;
  destinationPorts?: Negatable;
  sourcePorts?: Negatable;
  /** States of conntrack, separated by commas. */
  states?: Negatable;
  destinationType?: Negatable;
  comment?: string;
  /** Where a match goes: `ACCEPT`, `DNAT`, a chain, …; absent for a rule that only counts. */
  target?: string;
  /** Whether the target is gone to without coming back (`-g`). */
  goto: boolean;
  /** `--to-destination` of DNAT. */
  toDestination?: string;
  /** `--reject-with` of REJECT. */
  rejectWith?: string;
  unknown: string[];
}

/** A match's value, and whether the rule wants anything but it. */
export interface Negatable {
  value: string;
  not: boolean;
}

/** A table of iptables. */
export interface RuleTable {
  /** What happens at the end of a built-in chain. */
  policies: ReadonlyMap<string, string>;
  chains: ReadonlyMap<string, FirewallRule[]>;
}

const MATCHES: Readonly<Record<string, keyof FirewallRule>> = {
  "-p": "protocol",
  "-s": "source",
  "-d": "destination",
  "-i": "input",
  "-o": "output",
  "--dport": "destinationPorts",
  "--dports": "destinationPorts",
  "--sport": "sourcePorts",
  "--sports": "sourcePorts",
  "--ctstate": "states",
  "--state": "states",
  "--dst-type": "destinationType",
};

/** Decodes what `iptables -t TABLE -S` printed. */
export function parseRules(text: string): RuleTable {
  const policies = new Map<string, string>();
  const chains = new Map<string, FirewallRule[]>();
  for (const line of text.split("\n")) {
    const [command, chain, ...words] = tokens(line);
    if (command === "-P") {
      policies.set(chain!, words[0]!);
      chains.set(chain!, []);
    } else if (command === "-N") {
      chains.set(chain!, []);
    } else if (command === "-A") {
      chains.get(chain!)?.push(parseRule(chain!, words, line));
    }
  }
  return { policies, chains };
}

function parseRule(chain: string, words: string[], text: string): FirewallRule {
  const rule: FirewallRule = { chain, text, goto: false, unknown: [] };
  let not = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "!") {
      not = true;
      continue;
    }
    const match = lookup(MATCHES, word);
    if (match) {
      Object.assign(rule, { [match]: { value: words[++i] ?? "", not } });
    } else if (word === "-m") {
      // The module's name alone says nothing: its options do.
      i++;
    } else if (word === "--comment") {
      rule.comment = words[++i];
    } else if (word === "-j" || word === "-g") {
      rule.goto = word === "-g";
      rule.target = words[++i];
      const target = words.slice(i + 1);
      rule.toDestination = optionOf(target, "--to-destination");
      rule.rejectWith = optionOf(target, "--reject-with");
      break;
    } else if (word.startsWith("-")) {
      const value = words[i + 1]?.startsWith("-") ? undefined : words[++i];
      rule.unknown.push([not ? "!" : undefined, word, value].filter(Boolean).join(" "));
    }
    not = false;
  }
  return rule;
}

function optionOf(words: readonly string[], option: string): string | undefined {
  const at = words.indexOf(option);
  return at < 0 ? undefined : words[at + 1];
}

/** Words separated by blanks; one in quotes may hold blanks, and quotes behind a backslash. */
function tokens(line: string): string[] {
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g),
    ([, quoted, bare]) => quoted === undefined ? bare! : quoted.replaceAll(/\\(.)/g, "$1"),
  );
}
