/** What a driver of the firewall does: it shows what is there, and makes changes. */
import type { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { Family } from "../base/ip.ts";
import type { Change } from "../nft/batch.ts";
import type { FirewallRule, FoundRule, Place } from "./rule.ts";

/** The rules at one moment. Each question is answered without waiting. @throws {SystemError} */
export interface FirewallView {
  hasChain(place: Place): boolean;
  /** What becomes of a packet that no rule of a built-in chain decided over. */
  policy(place: Place): "ACCEPT" | "DROP" | undefined;
  /** The rules of a chain; none where there is no such chain. */
  rules(place: Place): FoundRule[];
  /** What is there of rules, whoever wrote it: it does exactly what one of them would. */
  find(rules: readonly FirewallRule[]): FoundRule[];
  /** Those of rules that are not there. */
  missing(rules: readonly FirewallRule[]): FirewallRule[];
  /** Those of a chain that carry one of these comments. */
  withComment(place: Place, comments: readonly string[]): FoundRule[];
  /** The rules of these ids, if all of them are still there with that comment. */
  recall?(rules: readonly FoundRule[], comment: string): boolean;
}

/** A change; built-in chains and tables that it needs are made. */
export type FirewallChange =
  /** A rule at the end of its chain, or before all others. */
  | { add: FirewallRule; first?: boolean }
  /** A chain of one's own, which is not there. */
  | { addChain: Place }
  | { remove: FoundRule }
  /** With its rules; nothing may jump to it. */
  | { removeChain: Place }
  /** Of a table of our own in nf_tables. */
  | { nft: Change };

/**
 * Says what to change, given what is there; asked again when somebody else has changed something
 * meanwhile.
 *
 * @param refused the changes that were asked for at first were refused with it
 */
export type Plan = (view: FirewallView, refused?: SystemError) => readonly FirewallChange[];

export interface Driver {
  look(family: Family): Promise<FirewallView>;
  /**
   * All or nothing, where the driver can.
   *
   * @returns of each change, the id of the rule that it added, where that is known
   * @throws {OperatorError}
   */
  apply(
    changes: readonly FirewallChange[],
    what: string,
    options: ApplyOptions,
  ): Promise<(string | undefined)[]>;
}

export interface ApplyOptions {
  /** Of nf_tables, when the changes were planned: for a later one they are {@link Stale}. */
  generation?: number | undefined;
  /** Is not free before a program that changes rules has ended, even if this process is killed. */
  lock?: FileLock | undefined;
}

/** Rules by the chain that they are of, since a chain is read as a whole. */
export function byPlace(rules: readonly FirewallRule[]): FirewallRule[][] {
  const groups = Map.groupBy(rules, ({ family, table, chain }) => `${family} ${table} ${chain}`);
  return [...groups.values()];
}

/** A change of what is not there any more as it was when it was looked at: it is looked at again. */
export class Stale extends Error {}
