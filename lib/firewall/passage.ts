/**
 * Containers that the host's filter lets through. The rules are the reference's (plugins/meta/firewall)
 * and carry no name, so that either can remove the other's: whose they are is on record, written
 * before they are made.
 */
import {
  makeDirectory,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from "../kernel/atomic_file.ts";
import { FAMILIES, type Family, familyOfKnown } from "../base/ip.ts";
import { namesIn } from "../base/exists.ts";
import { OperatorError } from "../base/error.ts";
import { isObject } from "../base/json.ts";
import { log } from "../base/log.ts";
import { Firewall } from "./firewall.ts";
import { changeSources } from "./firewalld.ts";
import { keyOf, type Owner } from "./owner.ts";
import { type FirewallRule, type FoundRule, type Place, single, singleOf } from "./rule.ts";
import { STATE_DIR, STATE_MODE } from "./tool.ts";
import type { FirewallView } from "./view.ts";

export const PASSAGE_CHAIN = "CNI-FORWARD";
const RECORDS = `${STATE_DIR}/passages`;

/** Whom the host lets through, and by what. */
export interface Passage extends Owner {
  /** Without prefix lengths. */
  addresses: readonly string[];
  /** The zone of firewalld that they are sources of; absent for rules of iptables. */
  zone?: string;
}

/** The answers to what a container asked, and all that it sends. */
export function passageRules(addresses: readonly string[], family: Family): FirewallRule[] {
  const place: Place = { family, table: "filter", chain: PASSAGE_CHAIN };
  return addresses.filter((address) => familyOfKnown(address) === family)
    .flatMap((address): FirewallRule[] => [
      {
        ...place,
        destination: single(address),
        states: { is: ["RELATED", "ESTABLISHED"] },
        target: { verdict: "ACCEPT" },
      },
      { ...place, source: single(address), target: { verdict: "ACCEPT" } },
    ]);
}

/** @throws {OperatorError} `file` */
export function recordPassage(passage: Passage): void {
  const { containerId, network, ifName, addresses, zone } = passage;
  makeDirectory(RECORDS, STATE_MODE.directory);
  const record = { containerId, network, ifName, addresses, zone };
  writeCheckpoint(fileOf(record), JSON.stringify(record), STATE_MODE.file);
}

/** Of all containers, in no order; and why those can't be read whose owner is therefore not known. */
export function listPassages(): { passages: Passage[]; unread: OperatorError[] } {
  const unread: OperatorError[] = [];
  const passages = namesIn(RECORDS)
    .filter((name) => name.endsWith(".json") && !name.startsWith("."))
    .flatMap((name) => {
      try {
        return read(`${RECORDS}/${name}`) ?? [];
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        unread.push(error);
        return [];
      }
    });
  return { passages, unread };
}

/**
 * Takes back what lets a container through, in every kind of iptables and in firewalld's zone, then
 * the record. Nothing there is no error.
 *
 * @param addresses that are known besides those on record
 * @throws {OperatorError}
 */
export async function removePassage(
  owner: Owner,
  path: string,
  addresses: readonly string[] = [],
): Promise<void> {
  const record = read(fileOf(owner));
  const known = record?.addresses ?? [];
  const more = addresses.filter((address) => !known.includes(address));
  // A DEL may come again, after the address was given to another, whom an unread record may name.
  const { passages, unread } = more.length > 0 ? listPassages() : { passages: [], unread: [] };
  const others = new Set(
    passages.filter((one) => keyOf(one) !== keyOf(owner)).flatMap((one) => one.addresses),
  );
  const own = unread.length > 0 ? [] : more.filter((address) => !others.has(address));
  const all = [...known, ...own];
  if (all.length > 0) {
    const rules = FAMILIES.flatMap((family) => passageRules(all, family));
    await Firewall.changeEvery(path, {
      plan: (view) => view.find(rules).map((remove) => ({ remove })),
      what: `let container ${owner.containerId} through no more`,
    });
  }
  if (record?.zone !== undefined) await changeSources("remove", record.zone, all, path);
  removeCheckpoint(fileOf(owner));
}

/** The rules that let single addresses through, by address. */
export function passedAddresses(view: FirewallView): Map<string, FoundRule[]> {
  const rules = FAMILIES.flatMap((family) =>
    view.rules({ family, table: "filter", chain: PASSAGE_CHAIN })
  );
  const addressOf = (rule: FoundRule) => singleOf(rule.source ?? rule.destination) ?? "";
  return Map.groupBy(rules.filter((rule) => addressOf(rule) !== ""), addressOf);
}

function fileOf(owner: Owner): string {
  return `${RECORDS}/${keyOf(owner)}.json`;
}

function read(file: string): Passage | undefined {
  const text = readCheckpoint(file);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    const isWhole = isObject(value) && Array.isArray(value.addresses) &&
      ["containerId", "network", "ifName"].every((key) => typeof value[key] === "string");
    if (isWhole) return value as unknown as Passage;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  log.warning("a damaged record of the firewall plugin is ignored", { file });
  return undefined;
}
