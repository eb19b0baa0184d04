/** A rule of nf_tables by its handle: its text, whose it is, and how it is taken away. */
import { inNetns } from "../finding.ts";
import type { Mechanism } from "../finding.ts";
import { outputIn } from "../observe/counters.ts";
import type { RuleMet } from "../observe/trace.ts";

export interface RuleText {
  mechanism: Mechanism;
  /** As its own program writes it. */
  text: string;
  /** The command that deletes it; absent for a policy. */
  remove?: string[];
  /** The program: `iptables`, `nft`, … */
  program: string;
}

const IPTABLES_TABLES = new Set(["filter", "nat", "mangle", "raw", "security"]);
const MOST_TEXT = 300;
/**
 * What a program is given as the name of a table or chain. The kernel takes any text for one, so
 * that a container can make one that is an option of iptables: `--modprobe`, which names a program.
 */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@/-]*$/;

/** Whether a line of `iptables -S` is of the chain, and holds no option that starts a program. */
function isPlain(rule: string, chain: string): boolean {
  return rule.startsWith(`-A ${chain} `) &&
    !words(rule).some((word) => /^(?:-M|--mod)/.test(word));
}

/** Matches with a state of their own, by which iptables does not find its own rule again. */
const STATEFUL = / -m (connlimit|quota|statistic|rateest) /;

/** Reads chains at most once for one diagnosis. */
export class RuleTexts {
  readonly #chains = new Map<string, Promise<string>>();

  async of(met: RuleMet): Promise<RuleText> {
    const { netns, family, table, chain, handle } = met;
    if (![table, chain].every((name) => PLAIN_NAME.test(name))) {
      const { mechanism, program } = ownerOf(family, table, chain);
      return { mechanism, program, text: handle === undefined ? "a policy" : `handle ${handle}` };
    }
    const nft = await this.#list(netns, "nft", ["-a", "-n", "list", "chain", family, table, chain]);
    const lines = nft.split("\n").filter((line) =>
      /# handle \d+$/.test(line) && !/^\s*chain /.test(line)
    );
    const index = lines.findIndex((line) => line.endsWith(`# handle ${handle}`));
    const owner = ownerOf(family, table, chain);
    const shown =
      (index >= 0 ? lines[index]!.trim().replace(/ # handle \d+$/, "") : `handle ${handle}`).slice(
        0,
        MOST_TEXT,
      );
    if (handle === undefined) {
      return { mechanism: owner.mechanism, program: owner.program, text: `policy ${met.verdict}` };
    }
    if (owner.mechanism === "iptables") {
      const rules = (await this.#list(netns, owner.program, ["-w", "5", "-t", table, "-S", chain]))
        .split("\n").filter((line) => line.startsWith("-A "));
      const rule = rules[index];
      if (rule !== undefined) {
        return {
          mechanism: "iptables",
          program: owner.program,
          text: rule.slice(0, MOST_TEXT),
          remove: STATEFUL.test(rule) || !isPlain(rule, chain)
            ? inNetns(netns, "nft", "delete", "rule", family, table, chain, "handle", handle)
            : inNetns(netns, owner.program, "-w", "-t", table, "-D", ...words(rule).slice(1)),
        };
      }
    }
    const remove = owner.program === "nft" || index < 0
      ? ["nft", "delete", "rule", family, table, chain, "handle", handle]
      : [owner.program, "-t", table, "-D", chain, String(index + 1)];
    return {
      mechanism: owner.mechanism,
      program: owner.program,
      text: shown,
      remove: inNetns(netns, ...remove),
    };
  }

  #list(netns: string | undefined, program: string, args: string[]): Promise<string> {
    const key = [netns, program, ...args].join("\t");
    let found = this.#chains.get(key);
    if (!found) this.#chains.set(key, found = outputIn(netns, program, args));
    return found;
  }
}

/** Which program keeps a table. Chains of iptables are written in capitals, as those of its tables. */
function ownerOf(
  family: string,
  table: string,
  _chain: string,
): { mechanism: Mechanism; program: string } {
  if (IPTABLES_TABLES.has(table)) {
    if (family === "ip") return { mechanism: "iptables", program: "iptables" };
    if (family === "ip6") return { mechanism: "iptables", program: "ip6tables" };
    if (family === "bridge") return { mechanism: "ebtables", program: "ebtables" };
    if (family === "arp") return { mechanism: "arptables", program: "arptables" };
  }
  return { mechanism: "nftables", program: "nft" };
}

/** Words separated by blanks; one in quotes may hold blanks. */
export function words(line: string): string[] {
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g),
    ([, quoted, bare]) => quoted === undefined ? bare! : quoted.replaceAll(/\\(.)/g, "$1"),
  );
}
