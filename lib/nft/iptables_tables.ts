/**
 * The tables of iptables-nft, changed without its program: the same chains, hooks and rules, so
 * that `iptables-save` shows what it would show after `iptables-restore`.
 */
import { lookup } from "../base/json.ts";
import { SystemError } from "../kernel/libc.ts";
import type { Family } from "../base/ip.ts";
import { tryAgain } from "../base/try_again.ts";
import { Attributes } from "../netlink/message.ts";
import { applyBatch, type Change, NFNL_SUBSYS_NFTABLES } from "./batch.ts";
import {
  addChain,
  addRule,
  addTable,
  type ChainHook,
  deleteChain,
  deleteRule,
  flushChain,
  NFT_MSG_NEWRULE,
  type RuleHandle,
} from "./changes.ts";
import {
  type IptablesRule,
  type IptablesTable,
  PROTOCOL_NUMBERS,
  ruleExpressions,
} from "./iptables_rule.ts";
import { generation, isSameRule, type ListedRule, listedRule, Rules } from "./rules.ts";
import type { TableFamily } from "./wire.ts";

/** The built-in chains as iptables-nft makes them when they are first needed. */
const BASE_CHAINS: Readonly<Record<IptablesTable, Readonly<Record<string, ChainHook>>>> = {
  raw: {
    PREROUTING: { type: "filter", hook: "prerouting", priority: -300 },
    OUTPUT: { type: "filter", hook: "output", priority: -300 },
  },
  mangle: {
    PREROUTING: { type: "filter", hook: "prerouting", priority: -150 },
    INPUT: { type: "filter", hook: "input", priority: -150 },
    FORWARD: { type: "filter", hook: "forward", priority: -150 },
    OUTPUT: { type: "route", hook: "output", priority: -150 },
    POSTROUTING: { type: "filter", hook: "postrouting", priority: -150 },
  },
  nat: {
    PREROUTING: { type: "nat", hook: "prerouting", priority: -100 },
    INPUT: { type: "nat", hook: "input", priority: 100 },
    OUTPUT: { type: "nat", hook: "output", priority: -100 },
    POSTROUTING: { type: "nat", hook: "postrouting", priority: 100 },
  },
  filter: {
    INPUT: { type: "filter", hook: "input", priority: 0 },
    FORWARD: { type: "filter", hook: "forward", priority: 0 },
    OUTPUT: { type: "filter", hook: "output", priority: 0 },
  },
};

/** The family of nf_tables that iptables (4) and ip6tables (6) write to. */
export const TABLE_FAMILY: Readonly<Record<Family, TableFamily>> = { 4: "ip", 6: "ip6" };

/** Of a batch whose rule set another program has changed since (NFNL_BATCH_GENID). */
const ERESTART = 85;
const ATTEMPTS = 20;

/** Which change of {@link IptablesTables.change} is meant. */
export type IptablesChange =
  /** A chain of one's own; it may be there. */
  | { add: "chain"; table: IptablesTable; chain: string }
  /** A rule at the end of a chain, or before all others. */
  | { add: "rule"; table: IptablesTable; chain: string; rule: IptablesRule; first?: boolean }
  | { delete: "rule"; rule: RuleHandle }
  | { flush: "chain"; table: IptablesTable; chain: string }
  /** A chain that nothing jumps to. */
  | { delete: "chain"; table: IptablesTable; chain: string };

/** iptables' rules of one family of addresses, in this process's network namespace. */
export class IptablesTables {
  readonly rules: Rules;

  constructor(readonly family: Family) {
    this.rules = new Rules(TABLE_FAMILY[family]);
  }

  /**
   * Changes rules in one transaction: tables and built-in chains that are missing are made. `plan`
   * looks at what is there and says what to change; it is asked again when another program has
   * changed something in the meantime.
   *
   * @returns the handles of the rules that were added, in their order; undefined if they were
   *   added and the kernel's account of them was lost
   * @throws {SystemError} for which nothing was changed
   */
  change(plan: () => readonly IptablesChange[], what: string): RuleHandle[] | undefined {
    const isStale = (error: unknown) => error instanceof SystemError && error.errno === ERESTART;
    return tryAgain(ATTEMPTS, isStale, () => {
      const seen = generation();
      const changes = plan();
      return changes.length === 0 ? [] : this.#apply(changes, what, seen);
    });
  }

  /** The rules of a chain that do the same as one that would be written. @throws {SystemError} */
  find(table: IptablesTable, chain: string, rule: IptablesRule): ListedRule[] {
    const wanted = ruleExpressions(rule, this.family);
    return this.rules.list(
      table,
      chain,
      (listed) =>
        isSameRule(listed.expressions, wanted)
          ? { ...listed, expressions: listed.expressions.slice() }
          : undefined,
    );
  }

  #apply(
    changes: readonly IptablesChange[],
    what: string,
    generation: number,
  ): RuleHandle[] | undefined {
    const batch = [...this.#missingBaseChains(changes), ...changes.map((one) => this.#encode(one))];
    const echoed = applyBatch(NFNL_SUBSYS_NFTABLES, batch, what, { generation, echo: true });
    return echoed?.filter(({ type }) => type === NFT_MSG_NEWRULE).map(({ body }) => {
      const rule = new Attributes(body.subarray(4));
      const { table, chain, handle } = listedRule(rule.text(1)!, rule.text(2)!, rule);
      return { table, chain, handle };
    });
  }

  #missingBaseChains(changes: readonly IptablesChange[]): Change[] {
    const made: Change[] = [];
    const seen = new Set<string>();
    const once = (name: string, isThere: () => boolean, make: () => Change) => {
      if (seen.has(name)) return;
      seen.add(name);
      if (!isThere()) made.push(make());
    };
    for (const change of changes) {
      if (!("add" in change)) continue;
      const { table, chain } = change;
      once(table, () => this.rules.hasTable(table), () => addTable(this.#table(table)));
      const hook = lookup(BASE_CHAINS[table], chain);
      if (!hook) continue;
      once(
        `${table} ${chain}`,
        () => this.rules.hasChain(table, chain),
        () => addChain(this.#table(table), chain, hook),
      );
    }
    return made;
  }

  #encode(change: IptablesChange): Change {
    if ("flush" in change) return flushChain(this.#table(change.table), change.chain);
    if ("delete" in change) {
      return change.delete === "rule"
        ? deleteRule(this.rules.family, change.rule)
        : deleteChain(this.#table(change.table), change.chain);
    }
    if (change.add === "chain") return addChain(this.#table(change.table), change.chain);
    const { table, chain, rule, first } = change;
    return addRule(this.#table(table), chain, ruleExpressions(rule, this.family), {
      first,
      echo: true,
      protocol: rule.port && PROTOCOL_NUMBERS[rule.port.protocol],
    });
  }

  #table(name: IptablesTable) {
    return { family: TABLE_FAMILY[this.family], name };
  }
}
