/** A rule that a probe met: what it does, how its own program writes it, and how it is taken away. */
import { addressBytes } from "../../base/ip.ts";
import { inNetns, type Mechanism, type RuleRef } from "../../facts/cause.ts";
import { unlessRefused } from "../../base/unless.ts";
import { listedRules, tokens } from "../../firewall/saved.ts";
import { holds } from "../../kernel/memory.ts";
import { type RawRule, readRules } from "../../nft/rules_in.ts";
import { programOutput } from "./programs.ts";
import type { RuleMet } from "./trace.ts";

/** What a rule does to a packet, besides its verdict. */
export type RuleAct =
  | "dnat"
  | "redirect"
  | "snat"
  /** To a random source port. */
  | "random"
  | "ttl"
  | "rewrite"
  | "notrack"
  | "zone";

export interface KnownRule {
  ref: RuleRef;
  mechanism: Mechanism;
  acts: readonly RuleAct[];
  /** Whether an address stands in it, such as that which it leads to. */
  mentions?(address: string): boolean;
  /** The command that deletes it; absent for a policy. */
  remove?: string[];
}

const MOST_TEXT = 300;
/**
 * What a program is given as the name of a table or chain. The kernel takes any text for one, so
 * that a container can make one that is an option of iptables: `--modprobe`, which names a program.
 */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@/-]*$/;
/** Matches with a state of their own, by which iptables does not find its own rule again. */
export const STATEFUL = ["connlimit", "quota", "statistic", "rateest"];

/** Reads chains at most once for one diagnosis. */
export class KnownRules {
  readonly #lists = new Map<string, Promise<string | undefined>>();
  readonly #raw = new Map<string, readonly RawRule[]>();

  /** What a rule does to a packet, as netlink tells. */
  actsOf(met: RuleMet): readonly RuleAct[] {
    const rule = met.handle === undefined
      ? undefined
      : this.#rawOf(met).find(({ handle }) => handle === met.handle);
    return rule ? actsOf(rule) : [];
  }

  async of(met: RuleMet): Promise<KnownRule> {
    const { netns, family, table, chain, handle, verdict } = met;
    const { mechanism, program } = keeperOf(family, table);
    const isPlain = handle !== undefined && [table, chain].every((one) => PLAIN_NAME.test(one));
    const raw = isPlain ? this.#rawOf(met) : [];
    const at = raw.findIndex((one) => one.handle === handle);
    const rule = raw[at];
    const written = isPlain ? await this.#written(met, at, raw.length) : undefined;
    const text = written?.text ?? (handle === undefined ? `policy ${verdict}` : `handle ${handle}`);
    return {
      ref: { program, family, table, chain, handle, text: text.slice(0, MOST_TEXT) },
      mechanism,
      acts: rule ? actsOf(rule) : [],
      mentions: (address) => rule !== undefined && holds(rule.bytes, addressBytes(address)),
      remove: written && inNetns(netns, ...written.remove),
    };
  }

  /** A rule as its program writes it, and how that deletes it. @param at which of all of its chain it is */
  async #written({ netns, family, table, chain, handle }: RuleMet, at: number, all: number) {
    const { mechanism, program } = keeperOf(family, table);
    const byHandle = ["nft", "delete", "rule", family, table, chain, "handle", handle!];
    if (mechanism === "iptables") {
      const listed = await this.#list(netns, program, ["-w", "5", "-t", table, "-S", chain]);
      const lines = listedRules(listed, chain);
      // Both tell all rules of the chain in one order; another number is another moment.
      const text = lines.length === all ? lines[at] : undefined;
      if (text !== undefined) {
        const list = tokens(text);
        const isFound = !list.some((word) => /^(?:-M|--mod)/.test(word) || STATEFUL.includes(word));
        const words = [program, "-w", "-t", table, "-D", ...list.slice(1)];
        return { text, remove: isFound ? words : byHandle };
      }
    }
    const listing = ["-a", "-n", "list", "chain", family, table, chain];
    const text = await this.#list(netns, "nft", listing);
    const own = text.split("\n").find((line) => line.endsWith(`# handle ${handle}`));
    const isNft = program === "nft" || mechanism === "iptables" || at < 0;
    return {
      text: own?.trim().replace(/ # handle \d+$/, ""),
      remove: isNft ? byHandle : [program, "-t", table, "-D", chain, String(at + 1)],
    };
  }

  #rawOf({ netns, family, table, chain }: RuleMet): readonly RawRule[] {
    const read = () => unlessRefused(() => readRules(netns, family, table, chain)) ?? [];
    return remembered(this.#raw, [netns, family, table, chain], read);
  }

  async #list(netns: string | undefined, program: string, args: string[]): Promise<string> {
    const list = () => programOutput(netns, program, args);
    return await remembered(this.#lists, [netns, program, ...args], list) ?? "";
  }
}

/** What was asked once under a key, else what is asked now. */
export function remembered<T>(all: Map<string, T>, key: readonly unknown[], ask: () => T): T {
  const known = all.get(key.join("\t")) ?? ask();
  all.set(key.join("\t"), known);
  return known;
}

const IPTABLES_TABLES = new Set(["filter", "nat", "mangle", "raw", "security"]);
const KEEPERS: Readonly<Record<string, { mechanism: Mechanism; program: string }>> = {
  ip: { mechanism: "iptables", program: "iptables" },
  ip6: { mechanism: "iptables", program: "ip6tables" },
  bridge: { mechanism: "ebtables", program: "ebtables" },
  arp: { mechanism: "arptables", program: "arptables" },
};

/** Which program keeps a table. */
function keeperOf(family: string, table: string): { mechanism: Mechanism; program: string } {
  const keeper = IPTABLES_TABLES.has(table) ? KEEPERS[family] : undefined;
  return keeper ?? { mechanism: "nftables", program: "nft" };
}

/** Expressions of nf_tables that act (linux/netfilter/nf_tables.h), and targets of xtables. */
const ACTS: Readonly<Record<string, readonly RuleAct[]>> = {
  dnat: ["dnat"],
  snat: ["snat"],
  masq: ["snat"],
  redir: ["redirect"],
  tproxy: ["redirect"],
  notrack: ["notrack"],
  "payload set": ["rewrite"],
  "payload set ttl": ["ttl"],
  "ct set zone": ["zone"],
  DNAT: ["dnat"],
  REDIRECT: ["redirect"],
  TPROXY: ["redirect"],
  SNAT: ["snat"],
  MASQUERADE: ["snat"],
  NETMAP: ["snat"],
  NOTRACK: ["notrack"],
  CT: ["notrack"],
  TTL: ["ttl"],
  HL: ["ttl"],
  redirect: ["redirect"],
};

function actsOf({ names, isRandom }: RawRule): RuleAct[] {
  return [...names.flatMap((name) => ACTS[name] ?? []), ...isRandom ? ["random" as const] : []];
}

/** The same of a rule in words, of iptables-legacy. */
export function actsOfWords(list: readonly string[]): RuleAct[] {
  const target = list[list.indexOf("-j") + 1];
  const isZone = target === "CT" && list.some((word) => word.startsWith("--zone"));
  const isRandom = list.some((word) => word.startsWith("--random"));
  return [
    ...isZone ? ["zone" as const] : ACTS[target ?? ""] ?? [],
    ...isRandom ? ["random" as const] : [],
  ];
}
