/**
 * The rules of nf_tables chains (linux/netfilter/nf_tables.h), which are also what iptables-nft
 * writes. Read and deleted here without a process, and without the whole table: what a chain of
 * ten thousand rules costs is paid only by who asks for that chain.
 */
import { cString, SystemError } from "../kernel/libc.ts";
import {
  attribute,
  Attributes,
  decodeMessages,
  eachAttribute,
  type Message,
  view,
} from "../netlink/message.ts";
import { NETLINK_NETFILTER } from "../netlink/socket.ts";
import { AF_INET, AF_INET6, AF_NETLINK, SOCK_RAW, Socket } from "../kernel/socket.ts";
import { applyBatch, nfHeader, nfnetlink, NFNL_SUBSYS_NFTABLES } from "./batch.ts";

/** Families of tables (linux/netfilter.h). */
export const NFPROTO = { inet: 1, ip: AF_INET, ip6: AF_INET6 } as const;
export type TableFamily = keyof typeof NFPROTO;

const message = (number: number) => NFNL_SUBSYS_NFTABLES << 8 | number;
const NFT_MSG_GETCHAIN = message(4);
const NFT_MSG_NEWRULE = message(6);
const NFT_MSG_GETRULE = message(7);
const NFT_MSG_DELRULE = message(8);

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NFT_JUMP = -3;

const NFNLGRP_NFTABLES = 7;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const ENOENT = 2;

/** A rule where it is: the handle is the kernel's, never used twice in the life of a table. */
export interface RuleHandle {
  table: string;
  chain: string;
  handle: string;
}

/** nf_tables of this process's network namespace, in one family. */
export class Rules {
  readonly #socket = nfnetlink();

  constructor(readonly family: TableFamily) {}

  /** Whether a chain exists. @throws {SystemError} */
  hasChain(table: string, chain: string): boolean {
    return this.#found(() =>
      this.#socket.request(NFT_MSG_GETCHAIN, 0, [
        nfHeader(NFPROTO[this.family]),
        attribute(NFTA_CHAIN_TABLE, cString(table)),
        attribute(NFTA_CHAIN_NAME, cString(chain)),
      ], `look for the chain ${chain}`)
    ) !== undefined;
  }

  /** The chains that a chain's rules jump to, one for each such rule. @throws {SystemError} */
  jumps(table: string, chain: string): string[] {
    return this.#dump(table, chain, (rule) => jumpOf(rule.bytes(NFTA_RULE_EXPRESSIONS)));
  }

  /** How many rules a chain has. @throws {SystemError} */
  count(table: string, chain: string): number {
    return this.#dump(table, chain, () => true).length;
  }

  /**
   * The rules of a chain that carry a comment, whoever wrote them.
   *
   * @throws {SystemError}
   */
  withComment(table: string, chain: string, comment: string): RuleHandle[] {
    const wanted = cString(comment);
    return this.#dump(
      table,
      chain,
      (rule, bytes) => holds(bytes, wanted) ? { table, chain, handle: handleOf(rule) } : undefined,
    );
  }

  /** Whether a rule is there and carries a comment. @throws {SystemError} */
  hasComment({ table, chain, handle }: RuleHandle, comment: string): boolean {
    const [answer] = this.#found(() =>
      this.#socket.request(NFT_MSG_GETRULE, 0, [
        nfHeader(NFPROTO[this.family]),
        attribute(NFTA_RULE_TABLE, cString(table)),
        attribute(NFTA_RULE_CHAIN, cString(chain)),
        attribute(NFTA_RULE_HANDLE, handleBytes(handle)),
      ], `read rule ${handle} of ${chain}`)
    ) ?? [];
    return answer !== undefined && holds(answer.body, cString(comment));
  }

  /** Deletes rules, all or none. @throws {SystemError} `ENOENT` if one is not there */
  remove(rules: readonly RuleHandle[]): void {
    if (rules.length === 0) return;
    applyBatch(
      NFNL_SUBSYS_NFTABLES,
      rules.map(({ table, chain, handle }) => ({
        type: NFT_MSG_DELRULE,
        parts: [
          nfHeader(NFPROTO[this.family]),
          attribute(NFTA_RULE_TABLE, cString(table)),
          attribute(NFTA_RULE_CHAIN, cString(chain)),
          attribute(NFTA_RULE_HANDLE, handleBytes(handle)),
        ],
      })),
      `delete ${rules.length} rules of ${this.family} ${rules[0]!.table}`,
    );
  }

  #dump<T>(
    table: string,
    chain: string,
    take: (rule: Attributes, bytes: Uint8Array) => T | undefined,
  ): T[] {
    return this.#found(() =>
      this.#socket.dump(
        NFT_MSG_GETRULE,
        [
          nfHeader(NFPROTO[this.family]),
          attribute(NFTA_RULE_TABLE, cString(table)),
          attribute(NFTA_RULE_CHAIN, cString(chain)),
        ],
        `list the rules of ${chain}`,
        ({ body }) => take(new Attributes(body.subarray(4)), body),
      )
    ) ?? [];
  }

  /** Undefined for what is not there, which includes a kernel that has no such table yet. */
  #found<T>(ask: () => T): T | undefined {
    try {
      return ask();
    } catch (error) {
      if (error instanceof SystemError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }
}

/**
 * Hears of new rules from when it is made: the only way to learn the handles of rules that
 * another program adds without listing a whole chain.
 */
export class NewRules implements Disposable {
  readonly #socket = Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

  constructor() {
    // A socket without an address of its own is taken for the sender, and told nothing.
    this.#socket.bind(kernelChooses(), "netlink");
    this.#socket.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES);
  }

  /**
   * The rules with a comment that were added since.
   *
   * @returns undefined if the kernel had more to tell than the socket could hold
   */
  withComment(family: TableFamily, comment: string): RuleHandle[] | undefined {
    const wanted = cString(comment);
    const found: RuleHandle[] = [];
    try {
      for (const message of this.#received()) {
        if (message.type !== NFT_MSG_NEWRULE || message.body[0] !== NFPROTO[family]) continue;
        if (!holds(message.body, wanted)) continue;
        const rule = new Attributes(message.body.subarray(4));
        found.push({
          table: rule.text(NFTA_RULE_TABLE)!,
          chain: rule.text(NFTA_RULE_CHAIN)!,
          handle: handleOf(rule),
        });
      }
    } catch (error) {
      // ENOBUFS; but the runtime may have changed errno by the time that it is read.
      if (error instanceof SystemError) return undefined;
      throw error;
    }
    return found;
  }

  *#received(): Generator<Message> {
    const buffer = new Uint8Array(64 << 10);
    while (true) {
      const length = this.#socket.receive(buffer, "hear of new rules");
      if (length === undefined) return;
      yield* decodeMessages(buffer.subarray(0, length));
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** struct sockaddr_nl of any process id. */
function kernelChooses(): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(12);
  view(address).setUint16(0, AF_NETLINK, true);
  return address;
}

function jumpOf(expressions: Uint8Array | undefined): string | undefined {
  for (const [, bytes] of eachAttribute(expressions ?? new Uint8Array())) {
    const expression = new Attributes(bytes);
    if (expression.text(NFTA_EXPR_NAME) !== "immediate") continue;
    const verdict = expression.nested(NFTA_EXPR_DATA).nested(NFTA_IMMEDIATE_DATA)
      .nested(NFTA_DATA_VERDICT);
    const code = verdict.bytes(NFTA_VERDICT_CODE);
    if (code && view(code).getInt32(0) === NFT_JUMP) return verdict.text(NFTA_VERDICT_CHAIN);
  }
  return undefined;
}

/**
 * Whether a rule holds exactly this comment (its bytes with the NUL), wherever iptables or nft
 * keep theirs: at the start of an attribute, or behind the type and length of user data.
 */
function holds(bytes: Uint8Array, comment: Uint8Array): boolean {
  for (let at = bytes.indexOf(comment[0]!); at >= 0; at = bytes.indexOf(comment[0]!, at + 1)) {
    if (!comment.every((byte, i) => bytes[at + i] === byte)) continue;
    const before = bytes[at - 1]!;
    if (before < 0x20 || (before === comment.length && bytes[at - 2] === 0)) return true;
  }
  return false;
}

function handleOf(rule: Attributes): string {
  return view(rule.bytes(NFTA_RULE_HANDLE)!).getBigUint64(0).toString();
}

function handleBytes(handle: string): Uint8Array {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, BigInt(handle));
  return bytes;
}
