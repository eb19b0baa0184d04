/** Masquerading in a table of nf_tables of its own, over netlink: no program is needed. */
import { tryAgain } from "../../lib/base/try_again.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { networkBytes } from "../../lib/base/ip.ts";
import { applyBatch, type Change, NFNL_SUBSYS_NFTABLES } from "../../lib/nft/batch.ts";
import { addChain, addRule, addTable, deleteRule, flushChain } from "../../lib/nft/changes.ts";
import {
  bitwise,
  compare,
  type Expression,
  masquerade,
  meta,
  payload,
  verdict,
} from "../../lib/nft/expressions.ts";
import { generation, isSameRule, type ListedRule, Rules } from "../../lib/nft/rules.ts";
import { interfaceAddress } from "./addresses.ts";
import { hashOf } from "./names.ts";
import type { Call } from "./standard_plugin.ts";

type Owner = Pick<Call, "network" | "containerId" | "ifName">;

const TABLE = { family: "inet", name: "cni_plugins_masquerade" } as const;
const CHAIN = "masq_checks";
const BASE_CHAIN = "postrouting";
const TABLE_COMMENT = "Masquerading for plugins from github.com/containernetworking/plugins";
const CHAIN_COMMENT =
  "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet";
/** NF_IP_PRI_NAT_SRC */
const SNAT_PRIORITY = 100;
/** NFPROTO_IPV4 and NFPROTO_IPV6, as `meta nfproto` says. */
const NFPROTO = { 4: 2, 16: 10 } as const;
const HASH_DIGITS = 16;
const LONGEST_COMMENT = 128;
/** Of a batch for a rule set that another program has changed since. */
const ERESTART = 85;
const ATTEMPTS = 20;

/** @throws {SystemError} */
export async function addNftablesMasquerade(
  call: Owner,
  addresses: readonly string[],
): Promise<void> {
  const comment = await commentOf(call);
  const rules = addresses.map((address) => masqueradeRule(address));
  change(call, (stale) => [
    addTable(TABLE, TABLE_COMMENT), // which also wakes one that somebody has put to sleep
    ...isSharedComplete() ? [] : sharedChanges(),
    ...stale,
    ...rules.map((expressions) => addRule(TABLE, CHAIN, expressions, { comment })),
  ], await instanceHash(call));
}

/** The first rules, which are everybody's. */
const SHARED_RULES: readonly (readonly Expression[])[] = [
  [...destinationIn([224, 0, 0, 0], 4), verdict("return")],
  [...destinationIn([0xff, ...new Array<number>(15).fill(0)], 8), verdict("return")],
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
  const rules = new Rules(TABLE.family);
  if (!rules.hasBaseChain(TABLE.name, BASE_CHAIN) || !rules.hasChain(TABLE.name, CHAIN)) {
    return false;
  }
  const found = rules.list(TABLE.name, BASE_CHAIN, ({ expressions }) => expressions.slice());
  return found.length === SHARED_RULES.length &&
    SHARED_RULES.every((written, index) => isSameRule(found[index]!, written));
}

/** @throws {SystemError} */
export async function removeNftablesMasquerade(call: Owner): Promise<void> {
  change(call, (stale) => stale, await instanceHash(call));
}

/** @throws {SystemError} */
export async function hasNftablesMasquerade(call: Owner): Promise<boolean> {
  return rulesOf(await instanceHash(call)).length > 0;
}

/** @param plan the changes, given the deletions of the rules that the attachment has */
function change(
  { containerId }: Owner,
  plan: (stale: readonly Change[]) => readonly Change[],
  hash: string,
): void {
  const what = `change the masquerading of container ${containerId}`;
  const isStale = (error: unknown) => error instanceof SystemError && error.errno === ERESTART;
  tryAgain(ATTEMPTS, isStale, () => {
    const seen = generation();
    const changes = plan(rulesOf(hash).map((rule) => deleteRule(TABLE.family, rule)));
    if (changes.length > 0) {
      applyBatch(NFNL_SUBSYS_NFTABLES, changes, what, { generation: seen });
    }
  });
}

function rulesOf(hash: string): ListedRule[] {
  return new Rules(TABLE.family).list(
    TABLE.name,
    CHAIN,
    (rule) => rule.comment?.startsWith(hash) ? rule : undefined,
  );
}

async function instanceHash({ network, ifName, containerId }: Owner): Promise<string> {
  const [of, instance] = await Promise.all([
    hashOf(network, HASH_DIGITS),
    hashOf(`${ifName}:${containerId}`, HASH_DIGITS),
  ]);
  return `${of}-${instance}`;
}

async function commentOf(call: Owner): Promise<string> {
  const { network, ifName, containerId } = call;
  const text = `${await instanceHash(call)}, net: ${network}, if: ${
    ifName.replaceAll('"', "")
  }, id: ${containerId}`;
  return text.slice(0, LONGEST_COMMENT);
}

/** `ip saddr ADDRESS ip daddr != NETWORK masquerade` */
function masqueradeRule(address: string): Expression[] {
  const { bytes, prefixLength } = interfaceAddress(address);
  return [
    ...protocol(bytes.length),
    payload("network", bytes.length === 4 ? 12 : 8, bytes.length),
    compare("eq", bytes),
    ...prefixMatch("neq", networkBytes(bytes, prefixLength), prefixLength),
    masquerade(),
  ];
}

function destinationIn(bytes: readonly number[], prefixLength: number): Expression[] {
  return [
    ...protocol(bytes.length),
    ...prefixMatch("eq", new Uint8Array(bytes), prefixLength),
  ];
}

function protocol(bytes: number): Expression[] {
  return [meta("nfproto"), compare("eq", new Uint8Array([NFPROTO[bytes === 4 ? 4 : 16]]))];
}

/** The destination's prefix: whole bytes are loaded alone, as nft does; else a mask is laid on. */
function prefixMatch(
  operator: "eq" | "neq",
  network: Uint8Array,
  prefixLength: number,
): Expression[] {
  const offset = network.length === 4 ? 16 : 24;
  if (prefixLength % 8 === 0) {
    const length = prefixLength / 8;
    return [
      payload("network", offset, length),
      compare(operator, network.subarray(0, length)),
    ];
  }
  const mask = networkBytes(new Uint8Array(network.length).fill(0xff), prefixLength);
  return [
    payload("network", offset, network.length),
    bitwise(mask),
    compare(operator, network),
  ];
}
