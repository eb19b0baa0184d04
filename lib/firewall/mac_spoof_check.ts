/**
 * `macspoofchk`: a container sends with its own hardware address only. Table, chains and comments
 * are the reference's (pkg/link), over netlink.
 */
import { applyBatch } from "../nft/batch.ts";
import {
  addChain,
  addRule,
  addTable,
  deleteChain,
  deleteRule,
  flushChain,
} from "../nft/changes.ts";
import { compare, meta, payload, verdict } from "../nft/expressions.ts";
import { Rules } from "../nft/rules.ts";
import { macBytes } from "../netlink/link_changes.ts";
import { decodeRule } from "./encode.ts";
import type { Owner } from "./owner.ts";
import { jumpOf } from "./rule.ts";

type Owned = Omit<Owner, "network">;

const TABLE = { family: "bridge", name: "nat" } as const;
const BASE = "PREROUTING";
/** NF_BR_PRI_NAT_DST_BRIDGED */
const PRIORITY = -300;
/** IFNAMSIZ: what nft compares of a name. */
const NAME_BYTES = 16;
/** Where an Ethernet frame has its sender. */
const SOURCE_OFFSET = 6;

/** @param host name of the host's end of the wire @throws {SystemError} */
export function addMacSpoofCheck(call: Owned, host: string, mac: string): void {
  const { chain, macChain, comment } = namesOf(call);
  const name = new Uint8Array(NAME_BYTES);
  name.set(new TextEncoder().encode(host));
  applyBatch([
    addTable(TABLE),
    addChain(TABLE, BASE, { type: "filter", hook: "prerouting", priority: PRIORITY }),
    addChain(TABLE, chain),
    addChain(TABLE, macChain),
    flushChain(TABLE, chain),
    flushChain(TABLE, macChain),
    addRule(TABLE, BASE, [meta("iifname"), compare("eq", name), verdict("jump", chain)], {
      comment,
    }),
    addRule(TABLE, chain, [verdict("jump", macChain)], { comment }),
    addRule(TABLE, macChain, [
      payload("link", SOURCE_OFFSET, 6),
      compare("eq", macBytes(mac)),
      verdict("return"),
    ], { comment }),
    addRule(TABLE, macChain, [verdict("drop")], { comment }),
  ], `hold ${host} to its hardware address`);
}

/** Whether all of that is there. @throws {SystemError} */
export function hasMacSpoofCheck(call: Owned): boolean {
  const { chain, macChain, comment } = namesOf(call);
  const rules = new Rules(TABLE);
  const count = (name: string) => rules.list(name, () => true).length;
  return rules.withComment(BASE, comment).length === 1 &&
    count(chain) === 1 && count(macChain) === 2;
}

/** Removes what {@link addMacSpoofCheck} made, if it did. @throws {SystemError} */
export function removeMacSpoofCheck(call: Owned): void {
  remove(namesOf(call));
}

/** The checks that there are, each with the host's end (`device`) that it is about. @throws {SystemError} */
export function listMacSpoofChecks() {
  return new Rules(TABLE).list(BASE, (rule) => {
    const found = decodeRule({ family: 4, table: "nat", chain: BASE }, rule);
    const { inDevice, comment } = found;
    const chain = jumpOf(found) ?? "";
    if (!inDevice || !comment?.startsWith("macspoofchk-") || !chain.startsWith(CHAIN)) return;
    const names = { chain, macChain: `${chain}-mac`, comment };
    return {
      addresses: new Set<string>(),
      device: inDevice.is,
      what: `the rules ${comment} in the table bridge nat`,
      remove: () => remove(names),
    };
  });
}

const CHAIN = "cni-br-iface-";

function namesOf({ containerId, ifName }: Owned) {
  const chain = `${CHAIN}${containerId}-${ifName}`;
  return { chain, macChain: `${chain}-mac`, comment: `macspoofchk-${containerId}-${ifName}` };
}

function remove({ chain, macChain, comment }: ReturnType<typeof namesOf>): void {
  const rules = new Rules(TABLE);
  const chains = [chain, macChain].filter((name) => rules.hasChain(name));
  if (chains.length === 0) return;
  applyBatch([
    ...rules.withComment(BASE, comment).map((rule) => deleteRule(TABLE, rule)),
    ...chains.map((name) => flushChain(TABLE, name)),
    ...chains.map((name) => deleteChain(TABLE, name)),
  ], `remove ${comment}`);
}
