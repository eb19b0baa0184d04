/**
 * nf_tables over netlink: the tables of iptables-nft, changed without its program (the same chains,
 * hooks and rules, so that `iptables-save` shows what it would show after `iptables-restore`), and
 * in the same transaction the tables of our own.
 */
import { lookup } from "../base/json.ts";
import { addressBytes } from "../base/ip.ts";
import { SystemError } from "../kernel/libc.ts";
import { Attributes } from "../netlink/message.ts";
import { applyBatch, type Change, NFNL_SUBSYS_NFTABLES, NLM_F_ECHO } from "../nft/batch.ts";
import {
  addChain,
  addRule,
  addTable,
  type ChainHook,
  deleteChain,
  deleteRule,
  flushChain,
  NFT_MSG_NEWRULE,
} from "../nft/changes.ts";
import { generation, listedRule, Rules } from "../nft/rules.ts";
import { PROTOCOL_NUMBERS, TABLE_FAMILY } from "../nft/wire.ts";
import { decodeRule, ruleExpressions } from "./encode.ts";
import { type FoundRule, jumpOf, type Place } from "./rule.ts";
import {
  type ApplyOptions,
  type Driver,
  type FirewallChange,
  FirewallView,
  type Like,
  Stale,
} from "./view.ts";

/** The built-in chains as iptables-nft makes them when they are first needed. */
const BASE_CHAINS: Readonly<Record<Place["table"], Readonly<Record<string, ChainHook>>>> = {
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

/** Of a batch whose rule set another program has changed since (NFNL_BATCH_GENID). */
const ERESTART = 85;

/**
 * The generation of the rule set, for which changes are planned; undefined where this kernel has no
 * nf_tables, or does not let this process see them.
 */
export function currentGeneration(): number | undefined {
  try {
    return generation();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Each chain is read when it is asked for: what one of ten thousand rules costs, only who asks pays. */
class NfTablesView extends FirewallView {
  chain({ family, table, chain }: Place) {
    return new Rules(TABLE_FAMILY[family]).chain(table, chain);
  }

  rules(place: Place, like: readonly Like[] = []): FoundRule[] {
    const marks = like.map(markOf);
    const areMarked = marks.length > 0 && marks.every((mark) => mark !== undefined);
    return new Rules(TABLE_FAMILY[place.family]).list(
      place.table,
      place.chain,
      (listed) => decodeRule(place, listed),
      areMarked ? marks : undefined,
    );
  }

  override recall(rules: readonly FoundRule[], comment: string): boolean {
    return rules.every(({ family, table, chain, id }) =>
      new Rules(TABLE_FAMILY[family]).hasComment({ table, chain, handle: id }, comment)
    );
  }
}

/** Bytes that only rules hold which are like this one, if it has any. */
function markOf(like: Like): Uint8Array | undefined {
  const { source, destination, comment } = like;
  const network = [destination, source].find((one) => one && one.prefixLength >= 24);
  if (network) return addressBytes(network.address).subarray(0, network.prefixLength >> 3);
  const name = comment ?? jumpOf(like);
  return name === undefined ? undefined : new TextEncoder().encode(name);
}

export class NfTables implements Driver {
  look(): Promise<FirewallView> {
    return Promise.resolve(new NfTablesView());
  }

  /** @throws {SystemError} for which nothing was changed @throws {Stale} */
  // deno-lint-ignore require-await
  async apply(
    changes: readonly FirewallChange[],
    what: string,
    { generation }: ApplyOptions,
  ): Promise<(string | undefined)[]> {
    const encoded = changes.map(encode);
    const batch = [...missingBaseChains(changes), ...encoded.flat()];
    try {
      const echoed = applyBatch(NFNL_SUBSYS_NFTABLES, batch, what, {
        generation,
        echo: encoded.flat().some(({ flags = 0 }) => (flags & NLM_F_ECHO) !== 0),
      });
      const handles = echoed?.filter(({ type }) => type === NFT_MSG_NEWRULE)
        .map(({ body }) => listedRule("", "", new Attributes(body.subarray(4))).handle);
      // The kernel's account may be lost, though the rules were added.
      return changes.map((change) => "add" in change ? handles?.shift() : undefined);
    } catch (error) {
      if (error instanceof SystemError && error.errno === ERESTART) {
        throw new Stale(error.message, { cause: error });
      }
      throw error;
    }
  }
}

/** Tables and built-in chains that iptables would make before the changes. */
function missingBaseChains(changes: readonly FirewallChange[]): Change[] {
  const made: Change[] = [];
  const seen = new Set<string>();
  const once = (name: string, isThere: () => boolean, make: () => Change) => {
    if (seen.has(name)) return;
    seen.add(name);
    if (!isThere()) made.push(make());
  };
  for (const change of changes) {
    const place = "add" in change ? change.add : "addChain" in change ? change.addChain : undefined;
    if (!place) continue;
    const { family, table, chain } = place;
    const rules = new Rules(TABLE_FAMILY[family]);
    once(`${family} ${table}`, () => rules.hasTable(table), () => addTable(tableOf(place)));
    const hook = lookup(BASE_CHAINS[table], chain);
    if (!hook) continue;
    once(
      `${family} ${table} ${chain}`,
      () => rules.hasChain(table, chain),
      () => addChain(tableOf(place), chain, hook),
    );
  }
  return made;
}

function encode(change: FirewallChange): Change[] {
  if ("nft" in change) return [change.nft];
  if ("addChain" in change) return [addChain(tableOf(change.addChain), change.addChain.chain)];
  if ("removeChain" in change) {
    const table = tableOf(change.removeChain);
    const { chain } = change.removeChain;
    return [flushChain(table, chain), deleteChain(table, chain)];
  }
  if ("remove" in change) {
    const { family, table, chain, id } = change.remove;
    return [deleteRule(TABLE_FAMILY[family], { table, chain, handle: id })];
  }
  const { add: rule, first } = change;
  return [addRule(tableOf(rule), rule.chain, ruleExpressions(rule), {
    ...first ? { first } : {},
    echo: true,
    ...rule.port ? { protocol: PROTOCOL_NUMBERS[rule.port.protocol] } : {},
  })];
}

function tableOf({ family, table }: Place) {
  return { family: TABLE_FAMILY[family], name: table };
}
