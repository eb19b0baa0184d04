/**
 * Masquerading in a table of nf_tables of its own, for which no program is needed. Table, chains and
 * comments are the reference's (pkg/ip).
 */
import { hashOf } from "../base/hash.ts";
import { addressBytes, FAMILIES, type Family, familyOfKnown } from "../base/ip.ts";
import type { Change } from "../nft/batch.ts";
import { addChain, addRule, addTable, deleteRule, flushChain } from "../nft/changes.ts";
import { type Expression, isFamily, masquerade, prefixMatch, verdict } from "../nft/expressions.ts";
import { type ListedRule, Rules } from "../nft/rules.ts";
import { type Attached, MULTICAST } from "./attachment_chains.ts";
import { decodeRule } from "./encode.ts";
import type { Firewall } from "./firewall.ts";
import { type FoundRule, ruleLine } from "./rule.ts";
import type { Kind } from "./tool.ts";
import type { FirewallChange, FirewallView, Plan } from "./view.ts";

type Owner = Attached & { ifName: string };

const TABLE = { family: "inet", name: "cni_plugins_masquerade" } as const;
const CHAIN = "masq_checks";
const BASE_CHAIN = "postrouting";
const TABLE_COMMENT = "Masquerading for plugins from github.com/containernetworking/plugins";
const CHAIN_COMMENT =
  "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet";
/** NF_IP_PRI_NAT_SRC */
const SNAT_PRIORITY = 100;
const HASH_DIGITS = 16;
const LONGEST_COMMENT = 128;

/** @param addresses with prefix lengths */
export async function addMasquerade(
  owner: Owner,
  addresses: readonly string[],
): Promise<Plan> {
  const hash = await instanceHash(owner);
  const comment = commentOf(owner, hash);
  return () =>
    [
      addTable(TABLE, { comment: TABLE_COMMENT }), // which also wakes one that somebody has put to sleep
      ...isSharedComplete() ? [] : sharedChanges(),
      ...removals(hash),
      ...addresses.map((address) => addRule(TABLE, CHAIN, masqueradeRule(address), { comment })),
    ].map((nft) => ({ nft }));
}

/** @returns what is to change where a host's rules of a kind are looked at */
export async function removeMasquerade(
  owner: Owner,
): Promise<(view: FirewallView, kind: Kind) => FirewallChange[]> {
  const hash = await instanceHash(owner);
  return (_, kind) => kind === "nf_tables" ? removals(hash).map((nft) => ({ nft })) : [];
}

/** @returns the addresses that are masqueraded @throws {SystemError} */
export async function masqueraded(owner: Owner): Promise<string[]> {
  const hash = await instanceHash(owner);
  const isLed = baseRules().some(({ target = {} }) => Object.values(target).includes(CHAIN));
  if (!isLed) return [];
  return new Rules(TABLE).list(
    CHAIN,
    (rule) => rule.comment?.startsWith(hash) ? inEither(rule).source?.address : undefined,
  );
}

/** The first rules, which are everybody's. */
const SHARED_RULES: readonly (readonly Expression[])[] = [
  ...FAMILIES.map((family) => [...multicast(family), verdict("return")]),
  [verdict("goto", CHAIN)],
];

/** Makes the chains that are missing, and puts the shared rules as they must be. */
function sharedChanges(): Change[] {
  return [
    addChain(TABLE, CHAIN, undefined, CHAIN_COMMENT),
    addChain(TABLE, BASE_CHAIN, { type: "nat", hook: "postrouting", priority: SNAT_PRIORITY }),
    flushChain(TABLE, BASE_CHAIN),
    ...SHARED_RULES.map((expressions) => addRule(TABLE, BASE_CHAIN, expressions)),
  ];
}

/**
 * Whether the shared rules are there and nothing else is. The reference writes them anew each time;
 * but the kernel frees what a transaction replaces some milliseconds later, and a process that made
 * one does not end before.
 */
function isSharedComplete(): boolean {
  return baseRules().map(ruleLine).join("\n") === [
    ...FAMILIES.map((family) => `-A ${BASE_CHAIN} -d ${MULTICAST[family]} -j RETURN`),
    `-A ${BASE_CHAIN} -g ${CHAIN}`,
  ].join("\n");
}

/** What packets come to by themselves; nothing where the kernel does not call the chain. */
function baseRules(): FoundRule[] {
  const rules = new Rules(TABLE);
  // One that it calls has a policy.
  return rules.chain(BASE_CHAIN)?.policy ? rules.list(BASE_CHAIN, inEither) : [];
}

/** A rule of the family that it is about. */
function inEither(rule: ListedRule): FoundRule {
  const { chain } = rule;
  const found = FAMILIES.map((family) => decodeRule({ family, table: "nat", chain }, rule));
  return found.find(({ unknown }) => unknown.length === 0) ?? found[1]!;
}

/** The rules of all owners: each says in its comment whose it is. @throws {SystemError} */
export function listTableMasquerades(firewall: Firewall) {
  const rules = new Rules(TABLE).list(CHAIN, (rule) => {
    const [, hash, network, containerId] =
      /^([0-9a-f]+-[0-9a-f]+), net: (.+), if: .*, id: (.+)$/.exec(rule.comment ?? "") ?? [];
    const address = inEither(rule).source?.address;
    return hash && containerId && address ? { hash, network, containerId, address } : undefined;
  });
  return [...Map.groupBy(rules, ({ hash }) => hash)].map(([hash, own]) => ({
    containerId: own[0]!.containerId,
    addresses: new Set(own.map(({ address }) => address)),
    what:
      `masquerading of container ${own[0]!.containerId} on ${own[0]!.network} in the table inet ` +
      TABLE.name,
    remove: () => {
      const plan = () => removals(hash).map((nft) => ({ nft }));
      return firewall.change({ families: [], plan, what: "remove what is masqueraded" });
    },
  }));
}

/** What removes an owner's rules. */
function removals(hash: string): Change[] {
  return new Rules(TABLE).list(
    CHAIN,
    (rule) => rule.comment?.startsWith(hash) ? deleteRule(TABLE, rule) : undefined,
  );
}

async function instanceHash({ network, ifName, containerId }: Owner): Promise<string> {
  const [of, instance] = await Promise.all([
    hashOf(network, HASH_DIGITS),
    hashOf(`${ifName}:${containerId}`, HASH_DIGITS),
  ]);
  return `${of}-${instance}`;
}

function commentOf({ network, ifName, containerId }: Owner, hash: string): string {
  const name = ifName.replaceAll('"', "");
  return `${hash}, net: ${network}, if: ${name}, id: ${containerId}`.slice(0, LONGEST_COMMENT);
}

/** `ip saddr ADDRESS ip daddr != NETWORK masquerade` */
function masqueradeRule(cidr: string): Expression[] {
  const [address, length] = cidr.split("/") as [string, string];
  const family = familyOfKnown(address);
  const bytes = addressBytes(address);
  return [
    ...isFamily(family),
    ...prefixMatch(family, "source", "eq", bytes, bytes.length * 8),
    ...prefixMatch(family, "destination", "neq", bytes, Number(length)),
    masquerade(),
  ];
}

function multicast(family: Family): Expression[] {
  const [address, length] = MULTICAST[family].split("/") as [string, string];
  return [
    ...isFamily(family),
    ...prefixMatch(family, "destination", "eq", addressBytes(address), Number(length)),
  ];
}
