/**
 * Rules in the words of iptables' own programs: read with `iptables-save`, changed with
 * `iptables-restore --noflush`. Both print and read a rule in the same words.
 */
import type { Family } from "../base/ip.ts";
import type { FileLock } from "../kernel/lock.ts";
import { type IptablesTable, ruleText } from "../nft/iptables_rule.ts";
import type { OtherRecords, Removal } from "./backend.ts";
import {
  EARLIER_GUARD,
  GUARD_CHAIN,
  ownRules,
  placedText,
  possibleChains,
  type Structure,
  structure,
} from "./iptables_rules.ts";
import { IptablesTool } from "./iptables_tool.ts";
import { type PortAttachment, possibleComments } from "./mapping.ts";
import type { MappingRecord } from "./record.ts";

/** The rules of a family, by the iptables of this host. @throws {OperatorError} */
export async function readSaved(family: Family, path: string): Promise<SavedRules> {
  return new SavedRules(await (await IptablesTool.find(family, path)).save());
}

/** @throws {OperatorError} `iptables_failed` */
export async function installWithProgram(
  tool: IptablesTool,
  record: MappingRecord,
  lock: FileLock,
): Promise<void> {
  const { family } = tool;
  await restore(tool, lock, async () => {
    const saved = new SavedRules(await tool.save(record.snat ? undefined : "nat"));
    return installation(record, family, saved.missingStructure(record, family));
  });
}

/** @throws {OperatorError} `iptables_failed` */
export async function removeWithProgram(
  tool: IptablesTool,
  attachment: Removal,
  others: OtherRecords,
  lock: FileLock,
): Promise<void> {
  const kept = new Set(others().flatMap((one) => ownRules(one, tool.family)).map(placedText));
  await restore(tool, lock, async () => {
    const changes = new Changes();
    for (const rule of new SavedRules(await tool.save("nat")).ofContainer(attachment)) {
      if (!kept.has(rule)) changes.add("nat", rule.replace(/^-A/, "-D"));
    }
    return changes;
  });
}

/**
 * Another program may make the same chain between our look and our change, which then fails as a
 * whole: so it looks once more.
 */
async function restore(
  tool: IptablesTool,
  lock: FileLock,
  change: () => Promise<Changes>,
): Promise<void> {
  const first = await change();
  if (first.isEmpty) return;
  try {
    await tool.restore(first.toString(), lock);
  } catch (error) {
    const second = await change();
    if (second.toString() === first.toString()) throw error;
    if (!second.isEmpty) await tool.restore(second.toString(), lock);
  }
}

/** The attachment's rules and what is missing around them. */
function installation(record: MappingRecord, family: Family, missing: Structure): Changes {
  const changes = new Changes();
  for (const { table, chain, rules } of missing.chains) {
    changes.add(table, `-N ${chain}`);
    for (const rule of rules) changes.add(table, placedText({ chain, rule }));
  }
  for (const { table, chain, rule, first } of missing.jumps) {
    changes.add(table, first ? `-I ${chain} 1 ${ruleText(rule)}` : placedText({ chain, rule }));
  }
  for (const placed of ownRules(record, family)) changes.add(placed.table, placedText(placed));
  return changes;
}

/** A change for `iptables-restore --noflush`: its lines by table. */
class Changes {
  readonly #tables = new Map<IptablesTable, string[]>();

  add(table: IptablesTable, line: string): void {
    const lines = this.#tables.get(table) ?? [];
    if (lines.length === 0) this.#tables.set(table, lines);
    lines.push(line);
  }

  get isEmpty(): boolean {
    return this.#tables.size === 0;
  }

  /** As the program's standard input. */
  toString(): string {
    return [...this.#tables].map(([table, lines]) =>
      [`*${table}`, ...lines, "COMMIT", ""].join("\n")
    ).join("");
  }
}

/** The output of iptables-save. */
export class SavedRules {
  /** Each with its table in front. */
  readonly #rules: ReadonlySet<string>;
  readonly #chains: ReadonlySet<string>;

  constructor(text: string) {
    const rules = new Set<string>();
    const chains = new Set<string>();
    let table = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("*")) table = line.slice(1);
      else if (line.startsWith("-A ")) rules.add(`${table} ${line}`);
      else if (line.startsWith(":")) chains.add(`${table} ${line.slice(1, line.indexOf(" "))}`);
    }
    this.#rules = rules;
    this.#chains = chains;
  }

  missingStructure(attachment: PortAttachment, family: Family): Structure {
    const { chains, jumps } = structure(attachment, family);
    return {
      chains: chains.filter(({ table, chain }) => !this.#chains.has(`${table} ${chain}`)),
      jumps: jumps.filter((jump) => !this.#rules.has(`${jump.table} ${placedText(jump)}`)),
    };
  }

  /** Whether the guard of 127.0.0.0/8 is an earlier version's, and there is no other. */
  get hasEarlierGuard(): boolean {
    return this.#rules.has(`${EARLIER_GUARD.table} ${EARLIER_GUARD.jump}`) &&
      this.#chains.has(`${EARLIER_GUARD.table} ${GUARD_CHAIN}`) &&
      !this.#chains.has(`raw ${GUARD_CHAIN}`);
  }

  missing(attachment: PortAttachment, family: Family): string[] {
    const all = this.missingStructure(attachment, family);
    const isGuarded = this.hasEarlierGuard;
    const isWanted = ({ table }: { table: string }) => !(isGuarded && table === "raw");
    const [chains, jumps] = [all.chains.filter(isWanted), all.jumps.filter(isWanted)];
    return [
      ...chains.map(({ table, chain }) => `chain ${chain} of table ${table}`),
      ...jumps.map(placedText),
      ...ownRules(attachment, family)
        .filter((placed) => !this.#rules.has(`${placed.table} ${placedText(placed)}`))
        .map(placedText),
    ];
  }

  /** The rules with a container's comment in the chains where ours may be, whoever wrote them. */
  ofContainer({ containerId, chain }: Pick<Removal, "containerId" | "chain">): string[] {
    const comments = possibleComments(containerId).map((comment) => ` --comment "${comment}" `);
    const starts = possibleChains({ chain }).map((name) => `nat -A ${name} `);
    return [...this.#rules]
      .filter((line) => starts.some((start) => line.startsWith(start)))
      .filter((line) => comments.some((comment) => line.includes(comment)))
      .map((line) => line.slice("nat ".length));
  }
}
