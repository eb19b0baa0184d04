/**
 * What nf_tables holds (linux/netfilter/nf_tables.h), which is also what iptables-nft wrote. Read
 * without a process, and without the whole table: what a chain of ten thousand rules costs is paid
 * only by who asks for that chain.
 */
import { cString } from "../kernel/libc.ts";
import { holdsAny } from "../kernel/memory.ts";
import {
  attribute,
  Attributes,
  eachAttribute,
  malformed,
  type Message,
  opened,
} from "../netlink/message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../netlink/socket.ts";
import { nfHeader, unlessAbsent, withNfnetlink } from "./batch.ts";
import { inTable, nfMessage, type RuleHandle, type Table } from "./changes.ts";
import { NFTA_EXPR_DATA, NFTA_EXPR_NAME } from "./expressions.ts";
import { be64, commentIn } from "./wire.ts";

const NFT_MSG_GETTABLE = nfMessage(1);
const NFT_MSG_GETCHAIN = nfMessage(4);
const NFT_MSG_GETRULE = nfMessage(7);
const NFT_MSG_GETGEN = nfMessage(16);

const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_USE = 6;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;

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

/** A table, in this process's network namespace or in another. */
export class Rules {
  constructor(readonly table: Table, private readonly netns?: string) {}

  /** Whether there is such a table. @throws {SystemError} */
  isThere(): boolean {
    return this.#ask(NFT_MSG_GETTABLE, [], `look for ${this.table.name}`) !== undefined;
  }

  /** Whether a chain exists. @throws {SystemError} */
  hasChain(chain: string): boolean {
    return this.chain(chain) !== undefined;
  }

  /**
   * A chain, with what a base chain, which packets come to by themselves, does with those that no
   * rule decided over, and how many rules are in it or lead to it.
   *
   * @throws {SystemError}
   */
  chain(chain: string): { policy?: "ACCEPT" | "DROP"; uses: number | undefined } | undefined {
    const name = attribute(NFTA_CHAIN_NAME, cString(chain));
    const found = this.#ask(NFT_MSG_GETCHAIN, [name], `look for the chain ${chain}`);
    const policy = found?.be32(NFTA_CHAIN_POLICY);
    const uses = found?.be32(NFTA_CHAIN_USE);
    return found &&
      (policy === undefined ? { uses } : { policy: policy === 0 ? "DROP" : "ACCEPT", uses });
  }

  /** How many rules each chain has that has any. @throws {SystemError} */
  counts(): Map<string, number> {
    const chains = this.#dump(undefined, (rule) => rule.text(NFTA_RULE_CHAIN));
    return new Map(
      [...Map.groupBy(chains, (name) => name)].map(([name, own]) => [name, own.length]),
    );
  }

  /**
   * The rules of a chain for which `take` has something.
   *
   * @param isWanted of a part of the kernel's answer, whether it may hold rules to ask about
   * @throws {SystemError}
   */
  list<T>(
    chain: string,
    take: (rule: ListedRule) => T | undefined,
    isWanted?: (bytes: Uint8Array) => boolean,
  ): T[] {
    return this.#dump(chain, (rule) => take(listedRule(chain, rule)), isWanted);
  }

  /** The handles of the rules of a chain that carry a comment, whoever wrote them. @throws {SystemError} */
  withComment(chain: string, comment: string): RuleHandle[] {
    return this.list(chain, (listed) => {
      const { handle } = listed;
      return listed.comment === comment ? { chain, handle } : undefined;
    }, holdsAny([cString(comment)]));
  }

  /** Whether a rule is there and carries a comment. @throws {SystemError} */
  hasComment({ chain, handle }: RuleHandle, comment: string): boolean {
    const parts = [
      attribute(NFTA_RULE_CHAIN, cString(chain)),
      attribute(NFTA_RULE_HANDLE, be64(BigInt(handle))),
    ];
    const answer = this.#ask(NFT_MSG_GETRULE, parts, `read rule ${handle} of ${chain}`);
    return answer !== undefined && listedRule(chain, answer).comment === comment;
  }

  #ask(type: number, more: Uint8Array[], what: string): Attributes | undefined {
    const parts = [...inTable(this.table), ...more];
    const [answer] = this.#with((socket) => socket.request(type, 0, parts, what)) ?? [];
    return answer && opened(answer.body, 4)[1];
  }

  #dump<T>(
    chain: string | undefined,
    take: (rule: Attributes) => T | undefined,
    isWanted?: (bytes: Uint8Array) => boolean,
  ): T[] {
    const parts = inTable(this.table);
    if (chain !== undefined) parts.push(attribute(NFTA_RULE_CHAIN, cString(chain)));
    const each = ({ body }: Message) => take(opened(body, 4)[1]);
    const what = `list the rules of ${chain ?? this.table.name}`;
    return this.#with((socket) => socket.dump(NFT_MSG_GETRULE, parts, what, each, isWanted)) ?? [];
  }

  /** Undefined for what is not there, which includes a kernel that has no such table yet. */
  #with<T>(ask: (socket: NetlinkSocket) => T): T | undefined {
    return unlessAbsent(() => {
      if (this.netns === undefined) return withNfnetlink(ask);
      using socket = new NetlinkSocket(NETLINK_NETFILTER, this.netns);
      return ask(socket);
    });
  }
}

/**
 * Reads a rule of an answer; its expressions lie in the answer's buffer.
 *
 * @throws {OperatorError} `kernel_answer`
 */
export function listedRule(chain: string, rule: Attributes): ListedRule {
  const expressions = rule.bytes(NFTA_RULE_EXPRESSIONS) ?? new Uint8Array();
  const handle = rule.be64(NFTA_RULE_HANDLE);
  if (handle === undefined) throw malformed("a rule without a handle");
  return {
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
