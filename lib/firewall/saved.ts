/** The output of `iptables-save`: its one reader. */
import { lookup } from "../base/json.ts";
import type { ConntrackState } from "../nft/compat.ts";
import {
  type FirewallRule,
  type FoundRule,
  isAsWorded,
  type Network,
  type Place,
  PROTOCOL_NUMBERS,
  ruleLine,
  single,
  type TransportProtocol,
} from "./rule.ts";
import { byPlace, type FirewallView } from "./view.ts";

interface SavedChain {
  policy: string;
  lines: string[];
}

export class SavedView implements FirewallView {
  readonly #chains = new Map<string, SavedChain>();

  /** @param text of one family */
  constructor(text: string) {
    let table = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("*")) table = line.slice(1);
      else if (line.startsWith(":")) {
        const [chain, policy] = line.slice(1).split(" ") as [string, string];
        this.#chains.set(`${table} ${chain}`, { policy, lines: [] });
      } else if (line.startsWith("-A ")) {
        this.#chains.get(`${table} ${line.split(" ", 2)[1]}`)?.lines.push(line);
      }
    }
  }

  hasChain(place: Place): boolean {
    return this.#chain(place) !== undefined;
  }

  policy(place: Place): "ACCEPT" | "DROP" | undefined {
    const policy = this.#chain(place)?.policy;
    return policy === "ACCEPT" || policy === "DROP" ? policy : undefined;
  }

  rules(place: Place): FoundRule[] {
    return this.#lines(place).map((line) => parseRule(place, line));
  }

  find(rules: readonly FirewallRule[]): FoundRule[] {
    return byPlace(rules).flatMap((ofChain) => {
      const { family, table, chain } = ofChain[0]!;
      const wanted = new Set(ofChain.map(ruleLine));
      return this.#lines(ofChain[0]!).flatMap((line) => {
        const found = parseRule({ family, table, chain }, line);
        const isOne = wanted.has(line) || ofChain.some((rule) => isAsWorded(rule, found));
        return isOne ? [found] : [];
      });
    });
  }

  missing(rules: readonly FirewallRule[]): FirewallRule[] {
    return byPlace(rules).flatMap((ofChain) => {
      const there = new Set(this.#lines(ofChain[0]!));
      const isThere = (rule: FirewallRule) =>
        rule.words
          ? this.rules(rule).some((found) => isAsWorded(rule, found))
          : there.has(ruleLine(rule));
      return ofChain.filter((rule) => !isThere(rule));
    });
  }

  withComment(place: Place, comments: readonly string[]): FoundRule[] {
    return this.#lines(place).filter((line) => line.includes(" --comment "))
      .map((line) => parseRule(place, line))
      .filter(({ comment }) => comment !== undefined && comments.includes(comment));
  }

  #lines(place: Place): readonly string[] {
    return this.#chain(place)?.lines ?? [];
  }

  #chain({ table, chain }: Place): SavedChain | undefined {
    return this.#chains.get(`${table} ${chain}`);
  }
}

/** Options of which this program knows what they mean. */
const OPTIONS: Readonly<Record<string, (rule: FoundRule, value: string, not: boolean) => boolean>> =
  {
    "-s": (rule, value, not) => (rule.source = prefix(value, not)) !== undefined,
    "-d": (rule, value, not) => (rule.destination = prefix(value, not)) !== undefined,
    "-i": (rule, is, not) => Boolean(rule.inDevice = { is, not }),
    "-o": (rule, is, not) => Boolean(rule.outDevice = { is, not }),
    "-p": (rule, value, not) => {
      if (not || !Object.hasOwn(PROTOCOL_NUMBERS, value)) return false;
      rule.port = { protocol: value as TransportProtocol, number: 0 };
      return true;
    },
    "--dport": (rule, value, not) => {
      if (not || !rule.port || !/^\d+$/.test(value)) return false;
      rule.port.number = Number(value);
      return true;
    },
    "--dst-type": (rule, value, not) => !not && value === "LOCAL" && (rule.toLocal = true),
    "--ctstate": (rule, value, not) =>
      Boolean(rule.states = { is: value.split(",") as ConntrackState[], not }),
    "--comment": (rule, value) => (rule.comment = value) === value,
  };

/** The value is none where the mask is no length, as iptables prints one with holes. */
function prefix(value: string, not: boolean): Network | undefined {
  const [address, length] = value.split("/") as [string, string?];
  if (length === undefined) return { ...single(address), not };
  return /^\d+$/.test(length) ? { address, prefixLength: Number(length), not } : undefined;
}

function parseRule(place: Place, line: string): FoundRule {
  const unknown: string[] = [];
  const rule: FoundRule = { ...place, unknown, id: line };
  const words = tokens(line).slice(2);
  let not = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "!") {
      not = true;
      continue;
    }
    const option = lookup(OPTIONS, word);
    const value = words[i + 1];
    // The module's name alone says nothing: its options do.
    if (word === "-m") i++;
    else if (word === "-j" || word === "-g") {
      rule.target = targetOf(word, words.slice(i + 1));
      break;
    } else {
      const hasValue = value !== undefined && (option !== undefined || !/^[-!]/.test(value));
      if (hasValue) i++;
      if (!option?.(rule, value ?? "", not)) {
        unknown.push([not ? "!" : "", word, hasValue ? value : ""].filter(Boolean).join(" "));
      }
    }
    not = false;
  }
  if (rule.port?.number === 0) {
    unknown.push(`-p ${rule.port.protocol}`);
    delete rule.port;
  }
  return rule;
}

function targetOf(how: string, [name = "", ...options]: string[]): FoundRule["target"] {
  if (how === "-g") return { goto: name };
  if (name === "ACCEPT" || name === "DROP" || name === "RETURN") return { verdict: name };
  if (name === "MASQUERADE") return { masquerade: true };
  if (name === "DNAT") {
    const [, address, port] = /^\[?([0-9a-f.:]+?)\]?:(\d+)$/.exec(
      options[options.indexOf("--to-destination") + 1] ?? "",
    ) ?? [];
    return address ? { dnat: { address, port: Number(port) } } : { other: name };
  }
  // Targets of iptables are in capitals, and so may chains be: options tell.
  return TARGETS.has(name) || options.length > 0 ? { other: name } : { jump: name };
}

/** Targets that may stand without options. */
const TARGETS = new Set([
  "REJECT",
  "LOG",
  "QUEUE",
  "TRACE",
  "NOTRACK",
  "NFLOG",
  "CHECKSUM",
  "SNAT",
]);

/** Words separated by blanks; one in quotes may hold blanks, and quotes behind a backslash. */
function tokens(line: string): string[] {
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g),
    ([, quoted, bare]) => quoted === undefined ? bare! : quoted.replaceAll(/\\(.)/g, "$1"),
  );
}
