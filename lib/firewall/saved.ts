/** The output of `iptables-save`: its one reader. */
import { networkText } from "../base/ip.ts";
import { lookup } from "../base/json.ts";
import type { ConntrackState } from "../nft/compat.ts";
import { PROTOCOL_NUMBERS, type TransportProtocol } from "../nft/wire.ts";
import {
  foundAt,
  type FoundRule,
  jumpOf,
  type Network,
  type Place,
  quoted,
  single,
  withoutBareProtocol,
} from "./rule.ts";
import { FirewallView, type Like } from "./view.ts";

interface SavedChain {
  policy?: "ACCEPT" | "DROP";
  lines: string[];
}

export class SavedView extends FirewallView {
  readonly #chains = new Map<string, SavedChain>();

  /** @param text of one family */
  constructor(text: string) {
    super();
    let table = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("*")) table = line.slice(1);
      else if (line.startsWith(":")) {
        const [chain, policy] = line.slice(1).split(" ");
        const isKnown = policy === "ACCEPT" || policy === "DROP";
        this.#chains.set(`${table} ${chain}`, { ...isKnown ? { policy } : {}, lines: [] });
      } else if (line.startsWith("-A ")) {
        this.#chains.get(`${table} ${line.split(" ", 2)[1]}`)?.lines.push(line);
      }
    }
  }

  chain({ table, chain }: Place): SavedChain | undefined {
    return this.#chains.get(`${table} ${chain}`);
  }

  rules(place: Place, like?: readonly Like[]): FoundRule[] {
    const marks = like?.map((one) => {
      const { source, destination, comment } = one;
      const network = [destination, source].find((one) => one && one.prefixLength > 0);
      if (network) return networkText(network.address, network.prefixLength);
      return comment === undefined ? jumpOf(one) : quoted(comment);
    });
    return (this.chain(place)?.lines ?? [])
      .filter((line) => marks?.some((mark) => !mark || line.includes(mark)) ?? true)
      .map((line) => parseRule(place, line));
  }
}

/** The rules of a chain, a line each, as `iptables -S` lists them. */
export function listedRules(text: string, chain: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(`-A ${chain} `));
}

/** What rules that lead somewhere, and policies that drop, have counted: of `iptables-save -c`. */
export function countedRules(text: string) {
  let table = "";
  return text.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    const [, packets, rule, of] = /^\[(\d+):\d+\] (-A (\S+)(?: .*)? -[jg] .*)$/.exec(line) ?? [];
    const [, policed, dropped] = /^:(\S+) DROP \[(\d+):\d+\]$/.exec(line) ?? [];
    const chain = of ?? policed;
    if (chain === undefined) return [];
    const text = rule ?? `-P ${chain} DROP`;
    return [{ table, chain, count: Number(packets ?? dropped), text, words: tokens(text) }];
  });
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
  const rule = foundAt(place, line);
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
      rule.unknown.push(...optionsOf(rule.target, words.slice(i + 2)));
      break;
    } else {
      const hasValue = value !== undefined && (option !== undefined || !/^[-!]/.test(value));
      if (hasValue) i++;
      if (!option?.(rule, value ?? "", not)) {
        rule.unknown.push([not ? "!" : "", word, hasValue ? value : ""].filter(Boolean).join(" "));
      }
    }
    not = false;
  }
  return withoutBareProtocol(rule);
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

/** Options that change what a target does, behind the address that packets are led to. */
function optionsOf(target: FoundRule["target"], options: readonly string[]): string[] {
  const known = target && "masquerade" in target ? 0 : target && "dnat" in target ? 2 : Infinity;
  return options.length > known ? [options.slice(known).join(" ")] : [];
}

/** Targets that may stand without options. */
const TARGETS = new Set("REJECT LOG QUEUE TRACE NOTRACK NFLOG CHECKSUM SNAT".split(" "));

/** Words separated by blanks; one in quotes may hold blanks, and quotes behind a backslash. */
export function tokens(line: string): string[] {
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g),
    ([, quoted, bare]) => quoted === undefined ? bare! : quoted.replaceAll(/\\(.)/g, "$1"),
  );
}
