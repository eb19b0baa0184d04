/**
 * nf_tables over netlink: the tables of iptables-nft, changed without its program (the same chains,
 * hooks and rules, so that `iptables-save` shows what it would show after `iptables-restore`), and
 * in the same transaction the tables of our own.
 */
import { lookup } from "../base/json.ts";
import { isA, unless } from "../base/unless.ts";
import { addressBytes } from "../base/ip.ts";
import { SystemError } from "../kernel/libc.ts";
import { holdsAny } from "../kernel/memory.ts";
import { Attributes } from "../netlink/message.ts";
import { applyBatch, type Change } from "../nft/batch.ts";
import {
  addChain,
  addRule,
  addTable,
  type ChainHook,
  deleteChain,
  deleteRule,
  flushChain,
  NFT_MSG_NEWRULE,
  type Table,
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
  type Ids,
  type Like,
  Stale,
} from "./view.ts";

/** The built-in chains that rules of ours are in, as iptables-nft makes them when they are first needed. */
const BASE_CHAINS: Readonly<Record<Place["table"], Readonly<Record<string, ChainHook>>>> = {
  raw: { PREROUTING: { type: "filter", hook: "prerouting", priority: -300 } },
  nat: {
    PREROUTING: { type: "nat", hook: "prerouting", priority: -100 },
    OUTPUT: { type: "nat", hook: "output", priority: -100 },
    POSTROUTING: { type: "nat", hook: "postrouting", priority: 100 },
  },
  filter: { FORWARD: { type: "filter", hook: "forward", priority: 0 } },
};

/** Of a batch whose rule set another program has changed since (NFNL_BATCH_GENID). */
const ERESTART = 85;

/**
 * The generation of the rule set, for which changes are planned; undefined where this kernel has no
 * nf_tables, or does not let this process see them.
 */
export function currentGeneration(): number | undefined {
  return unless(isA(SystemError), generation);
}

/** Each chain is read when it is asked for: what one of ten thousand rules costs, only who asks pays. */
class NfTablesView extends FirewallView {
  chain(place: Place) {
    return new Rules(tableOf(place)).chain(place.chain);
  }

  rules(place: Place, like: readonly Like[] = []): FoundRule[] {
    const marks = like.flatMap((one) => markOf(one) ?? []);
    const areMarked = marks.length > 0 && marks.length === like.length;
    return new Rules(tableOf(place)).list(
      place.chain,
      (listed) => decodeRule(place, listed),
      areMarked ? holdsAny(marks) : undefined,
    );
  }

  override recall(rules: readonly FoundRule[], comment: string): boolean {
    return rules.every((rule) =>
      new Rules(tableOf(rule)).hasComment({ chain: rule.chain, handle: rule.id }, comment)
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
  ): Promise<Ids> {
    const batch = [...missingBaseChains(changes), ...changes.flatMap(encode)];
    try {
      const handles = applyBatch(batch, what, generation)?.filter(({ type }) =>
        type === NFT_MSG_NEWRULE
      )
        .map(({ body }) => listedRule("", new Attributes(body.subarray(4))).handle);
      const added = changes.flatMap((change) => "add" in change ? [change.add] : []);
      // The kernel's account may be lost, though the rules were added.
      return new Map(handles?.map((handle, i) => [added[i]!, handle]));
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
  const places = changes.flatMap((change): Place[] =>
    "add" in change ? [change.add] : "addChain" in change ? [change.addChain] : []
  );
  const tables = Map.groupBy(places, ({ family, table }) => `${family} ${table}`);
  return [...tables.values()].flatMap((own) => {
    const rules = new Rules(tableOf(own[0]!));
    const hooks = BASE_CHAINS[own[0]!.table];
    const missing = [...new Set(own.map(({ chain }) => chain))]
      .filter((chain) => lookup(hooks, chain) && !rules.hasChain(chain));
    return [
      ...rules.isThere() ? [] : [addTable(rules.table)],
      ...missing.map((chain) => addChain(rules.table, chain, hooks[chain])),
    ];
  });
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
    const { chain, id: handle } = change.remove;
    return [deleteRule(tableOf(change.remove), { chain, handle })];
  }
  const { add: rule, first } = change;
  return [addRule(tableOf(rule), rule.chain, ruleExpressions(rule), {
    ...first ? { first } : {},
    echo: true,
    ...rule.port ? { protocol: PROTOCOL_NUMBERS[rule.port.protocol] } : {},
  })];
}

function tableOf({ family, table }: Place): Table {
  return { family: TABLE_FAMILY[family], name: table };
}
