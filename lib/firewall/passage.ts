/**
 * Containers that the host's filter lets through. The rules are the reference's (plugins/meta/firewall)
 * and carry no name, so that either can remove the other's: whose they are is on record, written
 * before they are made.
 */
import { addressBytes, FAMILIES, type Family, familyOfKnown } from "../base/ip.ts";
import { log } from "../base/log.ts";
import type { AttachedNetwork } from "../netlink/attached_network.ts";
import { Firewall } from "./firewall.ts";
import { changeSources } from "./firewalld.ts";
import { keyOf, type Owner } from "./owner.ts";
import { Records } from "./records.ts";
import { type FirewallRule, type FoundRule, type Place, single, singleOf } from "./rule.ts";
import type { FirewallView } from "./view.ts";

export const PASSAGE_CHAIN = "CNI-FORWARD";

/** Whom the host lets through, and by what. */
export interface Passage extends Owner {
  /** Without prefix lengths. */
  addresses: readonly string[];
  /** The zone of firewalld that they are sources of; absent for rules of iptables. */
  zone?: string;
  /** The network that it was made for; absent in records made before there was that. */
  attached?: AttachedNetwork | undefined;
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

/** Those of all containers. */
export const passages = new Records<Passage>(
  "/run/mesos-cni/firewall/passages",
  ({ addresses }) => Array.isArray(addresses),
  (file) => log.warning("a damaged record of the firewall plugin is ignored", { file }),
);

/**
 * Takes back what lets a container through, in every kind of iptables and in firewalld's zone, then
 * the record. Nothing there is no error.
 *
 * @param addresses that are known besides those on record
 * @throws {OperatorError} also, after the removal of what is on record, where others' records can't be
 *   read, which may name those addresses
 */
export async function removePassage(
  owner: Owner,
  path: string,
  addresses: readonly string[] = [],
): Promise<void> {
  const record = passages.read(owner);
  const known = record?.addresses ?? [];
  const more = addresses.filter((address) => !known.includes(address));
  // A DEL may come again, after the address was given to another, whom an unread record may name.
  const { found, unread } = more.length > 0 ? passages.survey() : { found: [], unread: [] };
  const others = new Set(
    found.filter((one) => keyOf(one) !== keyOf(owner)).flatMap((one) => one.addresses),
  );
  const own = unread.length > 0 ? [] : more.filter((address) => !others.has(address));
  const all = [...known, ...own];
  if (all.length > 0) {
    const rules = FAMILIES.flatMap((family) => passageRules(all, family));
    await Firewall.removeEvery(path, {
      marks: all.map(addressBytes),
      plan: (view) => view.find(rules).map((remove) => ({ remove })),
      what: `let container ${owner.containerId} through no more`,
    });
  }
  if (record?.zone !== undefined) await changeSources("remove", record.zone, all, path);
  // Whoever calls it again removes the rest: of what was not looked for, nobody else knows.
  if (unread[0]) throw unread[0];
  passages.remove(owner);
}

/** The rules that let single addresses through, by address. */
export function passedAddresses(view: FirewallView): Map<string, FoundRule[]> {
  const rules = FAMILIES.flatMap((family) =>
    view.rules({ family, table: "filter", chain: PASSAGE_CHAIN })
  );
  const addressOf = (rule: FoundRule) => singleOf(rule.source ?? rule.destination) ?? "";
  return Map.groupBy(rules.filter((rule) => addressOf(rule) !== ""), addressOf);
}
