/**
 * Changes to tables, chains and rules of nf_tables, each one message of a batch
 * (linux/netfilter/nf_tables.h). What is said to be made and is there already is no error.
 */
import { cString } from "../kernel/libc.ts";
import { attribute, nested, NLM_F_CREATE } from "../netlink/message.ts";
import { type Change, nfHeader, NFNL_SUBSYS_NFTABLES, NLM_F_ECHO } from "./batch.ts";
import type { Expression } from "./expressions.ts";
import { be32, be64, commentData, NFPROTO, type TableFamily } from "./wire.ts";

/** The type of a message to or from nf_tables. */
export const nfMessage = (number: number) => NFNL_SUBSYS_NFTABLES << 8 | number;
const NFT_MSG_NEWTABLE = nfMessage(0);
const NFT_MSG_NEWCHAIN = nfMessage(3);
const NFT_MSG_DELCHAIN = nfMessage(5);
export const NFT_MSG_NEWRULE = nfMessage(6);
const NFT_MSG_DELRULE = nfMessage(8);
const NLM_F_APPEND = 0x800;

/** A table, by which what is in it is named. */
export interface Table {
  family: TableFamily;
  name: string;
}

/** The beginning of a message about what is in a table. */
export function inTable({ family, name }: Table): Uint8Array[] {
  return [nfHeader(NFPROTO[family]), attribute(1, cString(name))];
}

/** What makes something in a table. */
export function making(
  type: number,
  table: Table,
  parts: readonly Uint8Array[],
  flags = 0,
): Change {
  return { type, flags: NLM_F_CREATE | flags, parts: [...inTable(table), ...parts] };
}

/** Where a base chain meets packets. */
export interface ChainHook {
  type: "nat" | "filter";
  hook: keyof typeof HOOKS;
  /** Whose packets, of `ingress`. */
  device?: string;
  /** Among the chains of a hook, the smaller comes first. */
  priority: number;
}

/** enum nf_inet_hooks; NF_NETDEV_INGRESS; NF_ARP_IN and NF_ARP_OUT. */
const HOOKS = {
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
  ingress: 0,
  arpInput: 0,
  arpOutput: 1,
} as const;
const NF_ACCEPT = 1;
const NFT_TABLE_F_OWNER = 2;

/** A rule of a table: the handle is the kernel's, never used twice in the life of a table. */
export interface RuleHandle {
  chain: string;
  handle: string;
}

/**
 * @param options.comment as `nft list` shows it
 * @param options.isOwned whether it goes with the socket by which it is made
 */
export function addTable(
  table: Table,
  { comment, isOwned = false }: { comment?: string; isOwned?: boolean } = {},
): Change {
  return making(NFT_MSG_NEWTABLE, table, [
    attribute(2, be32(isOwned ? NFT_TABLE_F_OWNER : 0)),
    ...commented(6, comment),
  ]);
}

/** A chain; with a hook, one that packets come to by themselves, which accepts what it has no rule for. */
export function addChain(
  table: Table,
  chain: string,
  hook?: ChainHook,
  comment?: string,
): Change {
  const base = hook
    ? [
      nested(4, [
        attribute(1, be32(HOOKS[hook.hook])),
        attribute(2, be32(hook.priority)),
        ...(hook.device === undefined ? [] : [attribute(3, cString(hook.device))]),
      ]),
      attribute(5, be32(NF_ACCEPT)),
      attribute(7, cString(hook.type)),
    ]
    : [];
  return making(NFT_MSG_NEWCHAIN, table, [
    attribute(3, cString(chain)),
    ...base,
    ...commented(12, comment),
  ]);
}

function commented(type: number, comment: string | undefined): Uint8Array[] {
  return comment === undefined ? [] : [attribute(type, commentData(comment))];
}

/** A chain that nothing jumps to and that has no rules. */
export function deleteChain(table: Table, chain: string): Change {
  return { type: NFT_MSG_DELCHAIN, parts: [...inTable(table), attribute(3, cString(chain))] };
}

/** All rules of a chain. */
export function flushChain(table: Table, chain: string): Change {
  return { type: NFT_MSG_DELRULE, parts: [...inTable(table), attribute(2, cString(chain))] };
}

/**
 * A rule at the end of its chain, or before all others (`first`). Two of the same are two.
 *
 * @param options.comment as `nft list` shows it; iptables has its comments as matches
 * @param options.protocol of what the rule matches: an extension of iptables for one protocol is
 *   refused (EINVAL) in a rule that is not said to be of it (NFTA_RULE_COMPAT)
 */
export function addRule(
  table: Table,
  chain: string,
  expressions: readonly Expression[],
  options: { first?: boolean; comment?: string; echo?: boolean; protocol?: number } = {},
): Change {
  const { first = false, comment, echo = false, protocol } = options;
  const parts = [
    attribute(2, cString(chain)),
    nested(4, expressions),
    ...protocol === undefined
      ? []
      : [nested(5, [attribute(1, be32(protocol)), attribute(2, be32(0))])],
    ...commented(7, comment),
  ];
  return making(
    NFT_MSG_NEWRULE,
    table,
    parts,
    (first ? 0 : NLM_F_APPEND) | (echo ? NLM_F_ECHO : 0),
  );
}

/** One rule; `ENOENT` if it is not there. */
export function deleteRule(table: Table, { chain, handle }: RuleHandle): Change {
  const { type, parts } = flushChain(table, chain);
  return { type, parts: [...parts, attribute(3, be64(BigInt(handle)))] };
}
