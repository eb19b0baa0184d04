/**
 * Rules by iptables' own programs: read by `iptables-save`, changed by `iptables-restore
 * --noflush`. Of the legacy kind there is no other way to them.
 */
import { OperatorError } from "../base/error.ts";
import type { Family } from "../base/ip.ts";
import { ruleLine } from "./rule.ts";
import { SavedView } from "./saved.ts";
import { IptablesTool, legacyTables } from "./tool.ts";
import type {
  ApplyOptions,
  Driver,
  FirewallChange,
  FirewallView,
  Ids,
  RuleChange,
} from "./view.ts";

export class Programs implements Driver {
  /** @param find the programs of a family */
  constructor(private readonly find: (family: Family) => Promise<IptablesTool | undefined>) {}

  /** The legacy kind. */
  static legacy(path: string): Programs {
    return new Programs((family) => IptablesTool.findLegacy(family, path));
  }

  /** Only what is there: to list a table that is not would make it. */
  async look(family: Family): Promise<FirewallView> {
    const tool = await this.find(family);
    const isLegacy = !tool || tool.kind === "legacy";
    if (isLegacy && legacyTables(family).length === 0) return new SavedView("");
    return new SavedView(await (tool ?? missing(family)).save());
  }

  async apply(
    changes: readonly FirewallChange[],
    _what: string,
    { lock }: ApplyOptions,
  ): Promise<Ids> {
    for (const [family, text] of restoreTexts(changes)) {
      const tool = await this.find(family);
      await (tool ?? missing(family)).restore(text, lock);
    }
    return new Map();
  }
}

/**
 * Where the kernel has rules of the legacy kind and nobody can read them any more: fails if those in question are
 * among them.
 *
 * @param marks bytes that one of them holds
 * @throws {OperatorError} `no_iptables`
 */
export async function requireUnneeded(
  family: Family,
  path: string,
  marks: readonly Uint8Array[],
): Promise<void> {
  if (legacyTables(family).length === 0 || await IptablesTool.findLegacy(family, path)) return;
  const { legacyHolds } = await import("./legacy_table.ts");
  if (legacyHolds(family, marks)) missing(family);
}

function missing(family: Family): never {
  throw new OperatorError(
    "no_iptables",
    `there are rules of IPv${family} by iptables of the legacy kind, which is not installed any ` +
      "more; install it (iptables-legacy), and try again",
  );
}

/** The standard input of each family's `iptables-restore`: its one writer. */
function restoreTexts(changes: readonly FirewallChange[]): [Family, string][] {
  const all = changes.flatMap((change) => "nft" in change ? [] : [change]);
  return [...Map.groupBy(all, (change) => placeOf(change).family)].map(([family, own]) => {
    const tables = [...Map.groupBy(own, (change) => placeOf(change).table)];
    const lines = tables.flatMap((
      [name, some],
    ) => [`*${name}`, ...some.flatMap(linesOf), "COMMIT"]);
    return [family, [...lines, ""].join("\n")];
  });
}

export function placeOf(change: RuleChange) {
  if ("add" in change) return change.add;
  if ("remove" in change) return change.remove;
  return "addChain" in change ? change.addChain : change.removeChain;
}

function linesOf(change: RuleChange): string[] {
  if ("addChain" in change) return [`-N ${change.addChain.chain}`];
  if ("remove" in change) return [change.remove.id.replace(/^-A/, "-D")];
  if ("removeChain" in change) {
    const { chain } = change.removeChain;
    return [`-F ${chain}`, `-X ${chain}`];
  }
  const line = ruleLine(change.add);
  const { chain } = change.add;
  return [change.first ? line.replace(`-A ${chain}`, `-I ${chain} 1`) : line];
}
