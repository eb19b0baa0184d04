/**
 * The iptables backend. Where iptables keeps its rules in nf_tables, they are changed over netlink
 * without a process; the legacy kind, and a kernel that refuses, are left to iptables-restore.
 */
import { dirname } from "@std/path";
import { OperatorError } from "../base/error.ts";
import type { Family } from "../base/ip.ts";
import { tryAgain } from "../base/try_again.ts";
import { log } from "../base/log.ts";
import { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { RuleHandle } from "../nft/changes.ts";
import { type IptablesChange, IptablesTables } from "../nft/iptables_tables.ts";
import { isSameRule, type ListedRule } from "../nft/rules.ts";
import { ruleExpressions } from "../nft/iptables_rule.ts";
import type { Backend, OtherRecords, Removal, Snapshot, Traces } from "./backend.ts";
import {
  familiesOf,
  ownRules,
  type PlacedRule,
  possibleChains,
  structure,
} from "./iptables_rules.ts";
import { installWithProgram, readSaved, removeWithProgram } from "./iptables_saved.ts";
import { hasLegacyRules, IptablesTool } from "./iptables_tool.ts";
import { commentOf, possibleComments } from "./mapping.ts";
import type { MappingRecord } from "./record.ts";

const FAMILIES: readonly Family[] = [4, 6];
const ENOENT = 2;
/** How often rules that others delete at the same time are looked for anew. */
const REMOVAL_ATTEMPTS = 10;

export class Iptables implements Backend {
  /** @param path where to look for iptables first */
  constructor(private readonly path: string) {}

  async install(record: MappingRecord, lock: FileLock): Promise<Traces> {
    const traces: Traces & Required<Pick<Traces, "handles" | "variants">> = {
      handles: {},
      variants: {},
    };
    for (const family of familiesOf(record)) {
      const tool = await IptablesTool.find(family, this.path);
      traces.variants[family] = tool.info.variant;
      if (tool.info.variant === "nf_tables") {
        try {
          traces.handles[family] = installOverNetlink(record, family);
          log.debug("rules were written over netlink", { container: record.containerId, family });
          continue;
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
          log.info("the kernel refused the rules over netlink; iptables-restore writes them", {
            container: record.containerId,
            family,
            error: error.message,
          });
        }
      } else {
        traces.path = dirname(tool.info.file);
        log.debug("rules are written by iptables-restore, as iptables is of the legacy kind", {
          container: record.containerId,
          family,
        });
      }
      await installWithProgram(tool, record, lock);
    }
    return traces;
  }

  async remove(
    attachment: Removal,
    others: OtherRecords,
    lock: FileLock,
  ): Promise<void> {
    for (const family of FAMILIES) {
      // Where the endpoints are known, a family without one has no rules.
      if (attachment.endpoints?.length && !attachment.endpoints.some((e) => e.family === family)) {
        continue;
      }
      if (removeByHandles(attachment, family)) continue;
      await this.#removeByComment(attachment, others, family, lock);
    }
  }

  /** The kind that the record names; both kinds where there is no telling. */
  async #removeByComment(
    attachment: Removal,
    others: OtherRecords,
    family: Family,
    lock: FileLock,
  ): Promise<void> {
    const variant = attachment.variants?.[family];
    if (variant !== "legacy") removeOverNetlink(attachment, others, family);
    if (variant === "nf_tables") return;
    // Looked at first: the program of the legacy kind would make its tables only to look at them.
    if (!hasLegacyRules(family)) return;
    const tool = await IptablesTool.findLegacy(family, this.path);
    if (tool) return await removeWithProgram(tool, attachment, others, lock);
    if (variant === "legacy") {
      throw new OperatorError(
        "no_iptables",
        `the rules of container ${attachment.containerId} were written by iptables of the legacy ` +
          "kind, which is not installed any more; install it (iptables-legacy), and try again",
      );
    }
  }

  isInstalled(): boolean {
    return IptablesTool.isInstalled(4, this.path);
  }

  async read(): Promise<Snapshot> {
    const saved: { [family in Family]?: Awaited<ReturnType<typeof readSaved>> } = {};
    saved[4] = await readSaved(4, this.path);
    // A host without ip6tables has no IPv6 mappings to miss.
    saved[6] = await readSaved(6, this.path).catch(() => undefined);
    return {
      isEarlier: ({ snat }) => snat && saved[4]!.hasEarlierGuard,
      missing: (attachment) =>
        familiesOf(attachment).flatMap((family) =>
          saved[family]?.missing(attachment, family) ?? [`all rules of IPv${family}`]
        ),
    };
  }

  async ready(): Promise<void> {
    await (await IptablesTool.find(4, this.path)).save("nat");
  }
}

/**
 * All of an attachment's rules and what is missing around them, in one transaction.
 *
 * @throws {SystemError} if the kernel refuses; then nothing was changed
 */
function installOverNetlink(record: MappingRecord, family: Family): RuleHandle[] | undefined {
  const tables = new IptablesTables(family);
  const own = ownRules(record, family);
  const plan = (): IptablesChange[] => [
    ...missingStructure(tables, record, family),
    ...own.map((placed): IptablesChange => ({ add: "rule", ...placed })),
  ];
  const handles = tables.change(plan, `write the rules of container ${record.containerId}`);
  return handles?.slice(-own.length);
}

function missingStructure(
  tables: IptablesTables,
  record: MappingRecord,
  family: Family,
): IptablesChange[] {
  const { rules } = tables;
  const { chains, jumps } = structure(record, family);
  return [
    ...chains.filter(({ table, chain }) => !rules.hasChain(table, chain))
      .flatMap(({ table, chain, rules }): IptablesChange[] => [
        { add: "chain", table, chain },
        ...rules.map((rule): IptablesChange => ({ add: "rule", table, chain, rule })),
      ]),
    ...jumps.filter(({ table, chain, target }) => !rules.jumps(table, chain).includes(target))
      .map(({ table, chain, rule, first }): IptablesChange => (
        { add: "rule", table, chain, rule, first }
      )),
  ];
}

/** @returns false if handles are not known, or not all still lead to the attachment's rules */
function removeByHandles(attachment: Removal, family: Family): boolean {
  const handles = attachment.handles?.[family];
  if (!handles) return false;
  const comment = commentOf(attachment.containerId);
  const { rules } = new IptablesTables(family);
  if (!handles.every((handle) => rules.hasComment(handle, comment))) return false;
  try {
    rules.remove(handles);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** An agent with the original plugin may delete some of the rules at the same time. */
function removeOverNetlink(
  attachment: Removal,
  others: OtherRecords,
  family: Family,
): void {
  const { rules } = new IptablesTables(family);
  const comments = possibleComments(attachment.containerId);
  tryAgain(REMOVAL_ATTEMPTS, isAbsent, () => {
    const found = possibleChains(attachment).flatMap((chain) =>
      rules.withComment("nat", chain, comments)
    );
    rules.remove(withoutOthers(found, others, family));
  });
}

/** Leaves out the rules of the container's other attachments. */
function withoutOthers(
  found: readonly ListedRule[],
  others: OtherRecords,
  family: Family,
): ListedRule[] {
  const records = found.length === 0 ? [] : others();
  if (records.length === 0) return [...found];
  const wanted = records.flatMap((other) => ownRules(other, family)).map(
    ({ chain, rule }: PlacedRule) => ({ chain, expressions: ruleExpressions(rule, family) }),
  );
  return found.filter(({ chain, expressions }) =>
    !wanted.some((other) => other.chain === chain && isSameRule(expressions, other.expressions))
  );
}

function isAbsent(error: unknown): boolean {
  return error instanceof SystemError && error.errno === ENOENT;
}
