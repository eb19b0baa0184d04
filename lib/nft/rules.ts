/**
 * What nf_tables holds (linux/netfilter/nf_tables.h), which is also what iptables-nft wrote. Read
 * without a process, and without the whole table: what a chain of ten thousand rules costs is paid
 * only by who asks for that chain.
 */
import { cString, SystemError } from "../kernel/libc.ts";
import {
  attribute,
  Attributes,
  eachAttribute,
  malformed,
  opened,
  view,
} from "../netlink/message.ts";
import { applyInSlices, nfHeader, NFNL_SUBSYS_NFTABLES, withNfnetlink } from "./batch.ts";
import { deleteRule, nfMessage, type RuleHandle } from "./changes.ts";
import type { Expression } from "./expressions.ts";
import { commentIn, NFPROTO, type TableFamily } from "./wire.ts";

const NFT_MSG_GETTABLE = nfMessage(1);
const NFT_MSG_GETCHAIN = nfMessage(4);
const NFT_MSG_GETRULE = nfMessage(7);
const NFT_MSG_GETGEN = nfMessage(16);

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const ENOENT = 2;
const ERANGE = 34;

/** A rule as the kernel lists it. */
export interface ListedRule extends RuleHandle {
  /** NFTA_RULE_EXPRESSIONS. */
  expressions: Uint8Array;
  /** Of iptables' comment match, or of nft's user data. */
  comment?: string;
}

/**
 * The rule set's generation, which every commit raises.
 *
 * @throws {SystemError}
 */
export function generation(): number {
  const [answer] = withNfnetlink((socket) =>
    socket.request(NFT_MSG_GETGEN, 0, [nfHeader(0)], "read the generation of the rules")
  );
  return opened(answer!.body, 4)[1].be32(1)!;
}

/** nf_tables of this process's network namespace, in one family. */
export class Rules {
  constructor(readonly family: TableFamily) {}

  /** Whether a table exists. @throws {SystemError} */
  hasTable(table: string): boolean {
    return this.#ask(NFT_MSG_GETTABLE, [attribute(1, cString(table))], `look for ${table}`) !==
      undefined;
  }

  /** Whether a chain exists. @throws {SystemError} */
  hasChain(table: string, chain: string): boolean {
    return this.#chain(table, chain) !== undefined;
  }

  /** Whether a chain exists that packets come to by themselves. @throws {SystemError} */
  hasBaseChain(table: string, chain: string): boolean {
    return this.#chain(table, chain)?.bytes(NFTA_CHAIN_HOOK) !== undefined;
  }

  /** What a base chain does with packets that no rule decided over. @throws {SystemError} */
  policy(table: string, chain: string): "ACCEPT" | "DROP" | undefined {
    const policy = this.#chain(table, chain)?.be32(NFTA_CHAIN_POLICY);
    return policy === undefined ? undefined : policy === 0 ? "DROP" : "ACCEPT";
  }

  /** How many rules a chain has. @throws {SystemError} */
  count(table: string, chain: string): number {
    return this.#dump(table, chain, () => true).length;
  }

  /**
   * The rules of a chain for which `take` has something.
   *
   * @param marks asked about are only rules that hold one of these bytes
   * @throws {SystemError}
   */
  list<T>(
    table: string,
    chain: string,
    take: (rule: ListedRule) => T | undefined,
    marks?: readonly Uint8Array[],
  ): T[] {
    return this.#dump(table, chain, (rule, bytes) => {
      if (marks && !marks.some((mark) => contains(bytes, mark))) return undefined;
      return take(listedRule(table, chain, rule));
    });
  }

  /** The rules of a chain that carry a comment, whoever wrote them. @throws {SystemError} */
  withComment(table: string, chain: string, comments: readonly string[]): ListedRule[] {
    return this.list(table, chain, (listed) => {
      if (listed.comment === undefined || !comments.includes(listed.comment)) return undefined;
      return { ...listed, expressions: listed.expressions.slice() };
    }, comments.map((comment) => cString(comment)));
  }

  /** Whether a rule is there and carries a comment. @throws {SystemError} */
  hasComment({ table, chain, handle }: RuleHandle, comment: string): boolean {
    const answer = this.#ask(NFT_MSG_GETRULE, [
      attribute(NFTA_RULE_TABLE, cString(table)),
      attribute(NFTA_RULE_CHAIN, cString(chain)),
      attribute(NFTA_RULE_HANDLE, handleBytes(handle)),
    ], `read rule ${handle} of ${chain}`);
    return answer !== undefined && listedRule(table, chain, answer).comment === comment;
  }

  /** Deletes rules, many in one transaction. @throws {SystemError} `ENOENT` if one is not there */
  remove(rules: readonly RuleHandle[]): void {
    applyInSlices(
      NFNL_SUBSYS_NFTABLES,
      rules.map((rule) => deleteRule(this.family, rule)),
      `delete ${rules.length} rules of ${this.family} ${rules[0]?.table}`,
    );
  }

  #chain(table: string, chain: string): Attributes | undefined {
    return this.#ask(NFT_MSG_GETCHAIN, [
      attribute(NFTA_CHAIN_TABLE, cString(table)),
      attribute(NFTA_CHAIN_NAME, cString(chain)),
    ], `look for the chain ${chain}`);
  }

  #ask(type: number, parts: readonly Uint8Array[], what: string): Attributes | undefined {
    const [answer] =
      found(() =>
        withNfnetlink((socket) =>
          socket.request(type, 0, [nfHeader(NFPROTO[this.family]), ...parts], what)
        )
      ) ?? [];
    return answer && opened(answer.body, 4)[1];
  }

  #dump<T>(
    table: string,
    chain: string,
    take: (rule: Attributes, bytes: Uint8Array) => T | undefined,
  ): T[] {
    return found(() =>
      withNfnetlink((socket) =>
        socket.dump(
          NFT_MSG_GETRULE,
          [
            nfHeader(NFPROTO[this.family]),
            attribute(NFTA_RULE_TABLE, cString(table)),
            attribute(NFTA_RULE_CHAIN, cString(chain)),
          ],
          `list the rules of ${chain}`,
          ({ body }) => take(opened(body, 4)[1], body),
        )
      )
    ) ?? [];
  }
}

/** Undefined for what is not there, which includes a kernel that has no such table yet. */
function found<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    // Nothing has a name that is longer than names can be.
    if (error instanceof SystemError && [ENOENT, ERANGE].includes(error.errno)) return undefined;
    throw error;
  }
}

/**
 * Reads a rule of an answer; its expressions lie in the answer's buffer.
 *
 * @throws {OperatorError} `kernel_answer`
 */
export function listedRule(table: string, chain: string, rule: Attributes): ListedRule {
  const expressions = rule.bytes(NFTA_RULE_EXPRESSIONS) ?? new Uint8Array();
  const handle = rule.be64(NFTA_RULE_HANDLE);
  if (handle === undefined) throw malformed("a rule without a handle");
  return {
    table,
    chain,
    handle: handle.toString(),
    expressions,
    comment: commentIn(rule.bytes(NFTA_RULE_USERDATA)) ?? commentOf(expressions),
  };
}

/** The text of the rule's comment match. */
function commentOf(expressions: Uint8Array): string | undefined {
  for (const [, bytes] of eachAttribute(expressions)) {
    const expression = new Attributes(bytes);
    if (expression.text(NFTA_EXPR_NAME) !== "match") continue;
    const match = expression.nested(NFTA_EXPR_DATA);
    if (match.text(1) === "comment") return match.text(3);
  }
  return undefined;
}

/**
 * Whether a listed rule does the same as one that would be written: its expressions are equal but
 * for what counters have counted.
 */
export function isSameRule(listed: Uint8Array, written: readonly Expression[]): boolean {
  const found = [...eachAttribute(listed)].map(([, bytes]) => bytes);
  return found.length === written.length && written.every((bytes, index) => {
    const wanted = new Attributes(bytes.subarray(4));
    const other = new Attributes(found[index]!);
    const name = wanted.text(NFTA_EXPR_NAME);
    if (name !== other.text(NFTA_EXPR_NAME)) return false;
    return name === "counter" ||
      isCovered(wanted.bytes(2), other.bytes(2), name === "immediate");
  });
}

/** Whether each attribute of `wanted` is in `other`: the kernel lists defaults that nobody wrote. */
function isCovered(
  wanted: Uint8Array | undefined,
  other: Uint8Array | undefined,
  isVerdict: boolean,
): boolean {
  const others = new Attributes(other ?? new Uint8Array());
  for (const [type, value] of eachAttribute(wanted ?? new Uint8Array())) {
    const found = others.bytes(type);
    if (!found || found.length !== value.length) return false;
    // Byte 3 of a verdict's header holds NLA_F_NESTED, which the kernel does not list.
    const isEqual = value.every((byte, at) => byte === found[at] || (isVerdict && at === 3));
    if (!isEqual) return false;
  }
  return true;
}

/** Whether `part` occurs in `bytes`: a quick look before a rule is taken apart. */
function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  const [first] = part;
  for (let at = bytes.indexOf(first!); at >= 0; at = bytes.indexOf(first!, at + 1)) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

function handleBytes(handle: string): Uint8Array {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, BigInt(handle));
  return bytes;
}
