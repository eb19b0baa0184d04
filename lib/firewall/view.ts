/** What a driver of the firewall does: it shows what is there, and makes changes. */
import type { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { Family } from "../base/ip.ts";
import type { Change } from "../nft/batch.ts";
import {
  type FirewallRule,
  type FoundRule,
  isAsWorded,
  jumpOf,
  type Place,
  ruleLine,
} from "./rule.ts";

/** By what rules that are looked for can be told from most others. */
export type Like = Partial<Pick<FirewallRule, "source" | "destination" | "comment" | "target">>;

/** Of more, it takes longer to look for each than to take all rules apart. */
const MOST_ALIKE = 16;

/** The rules at one moment. Each question is answered without waiting. @throws {SystemError} */
export abstract class FirewallView {
  /** By chain, its rules by their comments; undefined where it was asked for a comment once. */
  readonly #commented = new Map<string, Map<string | undefined, FoundRule[]> | undefined>();

  /**
   * A chain, with what becomes of a packet that no rule of a built-in one decided over, and where the kernel counts
   * them, how many rules are in it or lead to it.
   */
  abstract chain(
    place: Place,
  ): { policy?: "ACCEPT" | "DROP"; uses?: number | undefined } | undefined;
  /**
   * The rules of a chain; none where there is no such chain.
   *
   * @param like others may be left out: to take each of ten thousand rules apart takes its time
   */
  abstract rules(place: Place, like?: readonly Like[]): FoundRule[];

  /**
   * Whether the rules of these ids are known to be there still, all with that comment: where ids are no
   * handles of the kernel, that is never known.
   */
  recall(_rules: readonly FoundRule[], _comment: string): boolean {
    return false;
  }

  hasChain(place: Place): boolean {
    return this.chain(place) !== undefined;
  }

  policy(place: Place): "ACCEPT" | "DROP" | undefined {
    return this.chain(place)?.policy;
  }

  /**
   * Those of a chain that carry one of these comments. Of the first who asks, the rules are taken apart
   * alone; once there is a second one, all rules of the chain, for the rest too.
   */
  withComment(place: Place, comments: readonly string[]): FoundRule[] {
    const name = placeName(place);
    let rules = this.#commented.get(name);
    if (!rules) {
      const isFirst = !this.#commented.has(name);
      const like = comments.map((comment) => ({ comment }));
      rules = Map.groupBy(this.rules(place, isFirst ? like : undefined), ({ comment }) => comment);
      this.#commented.set(name, isFirst ? undefined : rules);
    }
    return comments.flatMap((comment) => rules.get(comment) ?? []);
  }

  /** What is there of rules, whoever wrote it: it does exactly what one of them would. */
  find(rules: readonly FirewallRule[]): FoundRule[] {
    return this.#meet(rules).map(([, found]) => found);
  }

  /** Those of rules that are not there. */
  missing(rules: readonly FirewallRule[]): FirewallRule[] {
    const there = new Set(this.#meet(rules).map(([name]) => name));
    return rules.filter((rule) => !there.has(nameOf(rule)));
  }

  /** What is there of rules, each with the name of that which it is as. */
  #meet(rules: readonly FirewallRule[]): [string, FoundRule][] {
    return [...Map.groupBy(rules, placeName).values()].flatMap((wanted) => {
      const names = new Set(wanted.map(nameOf));
      const worded = wanted.filter(({ words }) => words);
      const like = wanted.length <= MOST_ALIKE ? wanted : undefined;
      return this.rules(wanted[0]!, like).flatMap((found): [string, FoundRule][] => {
        const same = names.has(nameOf(found))
          ? found
          : worded.find((one) => isAsWorded(one, found));
        return same ? [[nameOf(same), found]] : [];
      });
    });
  }
}

const placeName = ({ family, table, chain }: Place) => `${family} ${table} ${chain}`;
const nameOf = (rule: FirewallRule | FoundRule) => `${rule.family} ${rule.table} ${ruleLine(rule)}`;

/** The views of both families as one. */
export class BothFamilies extends FirewallView {
  constructor(private readonly of: { readonly [family in Family]?: FirewallView }) {
    super();
  }

  override chain(place: Place) {
    return this.of[place.family]!.chain(place);
  }

  override rules(place: Place, like?: readonly Like[]) {
    return this.of[place.family]!.rules(place, like);
  }

  override recall(rules: readonly FoundRule[], comment: string) {
    return rules.every((rule) => this.of[rule.family]!.recall([rule], comment));
  }
}

/** A rule at the end of its chain, or before all others. */
export interface AddedRule {
  add: FirewallRule;
  first?: boolean;
}

/** What there shall be: chains of one's own, and rules. */
export type Wanted = AddedRule | { addChain: Place };

/** The rules of what there shall be. A rule wanted twice is one. */
export function rulesOf(wanted: readonly Wanted[]): FirewallRule[] {
  const rules = wanted.flatMap((one) => "add" in one ? [one.add] : []);
  return [...Map.groupBy(rules, nameOf).values()].map(([first]) => first!);
}

/** Adds what is missing of what there shall be: chains first, then rules. */
export function completing(view: FirewallView, wanted: readonly Wanted[]): FirewallChange[] {
  const made = new Map(
    wanted.flatMap((one) => "addChain" in one ? [one.addChain] : [])
      .filter((place) => !view.hasChain(place)).map((place) => [placeName(place), place]),
  );
  // Nothing can be in a chain that is not there, nor lead to it: for that, no rules are read.
  const isNew = (rule: FirewallRule) =>
    made.has(placeName(rule)) || made.has(placeName({ ...rule, chain: jumpOf(rule) ?? "" }));
  const rules = rulesOf(wanted);
  const lost = new Set([
    ...rules.filter(isNew),
    ...view.missing(rules.filter((one) => !isNew(one))),
  ]);
  return [
    ...[...made.values()].map((addChain) => ({ addChain })),
    ...wanted.filter((one) => "add" in one && lost.has(one.add)),
  ];
}

/** A change of rules; built-in chains and tables that it needs are made. */
export type RuleChange =
  /** A chain of one's own, which is not there; or a rule. */
  | Wanted
  | { remove: FoundRule }
  /** With its rules; nothing may jump to it. */
  | { removeChain: Place };

/** The same, or one of a table of our own in nf_tables. */
export type FirewallChange = RuleChange | { nft: Change };

/**
 * Says what to change, given what is there; asked again when somebody else has changed something
 * meanwhile.
 *
 * @param refused the changes that were asked for at first were refused with it
 */
export type Plan = (view: FirewallView, refused?: SystemError) => readonly FirewallChange[];

/** Of the rules that were added, the ids, where they are known. */
export type Ids = ReadonlyMap<FirewallRule, string>;

export interface Driver {
  look(family: Family): Promise<FirewallView>;
  /** All or nothing, where the driver can. @throws {OperatorError} */
  apply(changes: readonly FirewallChange[], what: string, options: ApplyOptions): Promise<Ids>;
}

export interface ApplyOptions {
  /** Of nf_tables, when the changes were planned: for a later one they are {@link Stale}. */
  generation?: number | undefined;
  /** Is not free before a program that changes rules has ended, even if this process is killed. */
  lock?: FileLock | undefined;
}

/** A change of what is not there any more as it was when it was looked at: it is looked at again. */
export class Stale extends Error {}
