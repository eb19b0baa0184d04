/** The iptables backend: rules of chains of its own, in whichever kind of iptables the host has. */
import type { Family } from "../base/ip.ts";
import { log } from "../base/log.ts";
import { FAMILIES, Firewall } from "../firewall/firewall.ts";
import { type FirewallRule, type FoundRule, type Place, ruleLine } from "../firewall/rule.ts";
import { IptablesTool, type Kind } from "../firewall/tool.ts";
import type { ChangeRules } from "../firewall/transaction.ts";
import type { FirewallChange, FirewallView } from "../firewall/view.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { Backend, OtherRecords, Removal, Snapshot, Traces } from "./backend.ts";
import { familiesOf, ownRules, possibleChains, structure } from "./iptables_rules.ts";
import { commentOf, possibleComments } from "./mapping.ts";
import type { MappingRecord } from "./record.ts";

const KINDS: readonly Kind[] = ["nf_tables", "legacy"];

export class Iptables implements Backend {
  /** @param path where to look for iptables first */
  constructor(private readonly path: string) {}

  async install(
    record: MappingRecord,
    lock: FileLock,
    change: ChangeRules,
    firewall: Firewall,
  ): Promise<Traces> {
    const families = familiesOf(record);
    await firewall.requireProgram(families);
    const own = families.flatMap((family) => ownRules(record, family));
    const ids = await change({
      families,
      plan: (view) => [
        ...families.flatMap((family) => missingStructure(view, record, family)),
        ...own.map((add) => ({ add })),
      ],
      what: `write the rules of container ${record.containerId}`,
      lock,
    });
    const { handles, variants }: Required<Traces> = { handles: {}, variants: {} };
    for (const family of families) {
      const kind = variants[family] = firewall.kinds[family];
      const known = own.map((rule, i) => ({ rule, handle: ids[ids.length - own.length + i] }))
        .filter(({ rule }) => rule.family === family)
        .flatMap(({ rule: { table, chain }, handle }) => handle ? [{ table, chain, handle }] : []);
      if (known.length > 0) handles[family] = known;
      log.debug("rules were written", { container: record.containerId, family, kind });
    }
    return { handles, variants };
  }

  async remove(attachment: Removal, others: OtherRecords, lock: FileLock): Promise<void> {
    const { variants, endpoints } = attachment;
    const every = new Set((await Firewall.every(this.path)).map(({ kinds }) => kinds[4]));
    for (const kind of KINDS) {
      // Where the endpoints are known, a family without one has no rules.
      const families = FAMILIES.filter((family) =>
        (endpoints?.length ? endpoints.some((one) => one.family === family) : true) &&
        (variants?.[family] ? variants[family] === kind : every.has(kind))
      );
      if (families.length === 0) continue;
      await Firewall.ofKind(kind, this.path).change({
        families,
        plan: (view) =>
          families.flatMap((family) => removal(view, attachment, others, family))
            .map((remove) => ({ remove })),
        what: `remove the rules of container ${attachment.containerId}`,
        lock,
      });
    }
  }

  isInstalled(): boolean {
    return IptablesTool.isInstalled(4, this.path);
  }

  async read(): Promise<Snapshot> {
    const usual = await Firewall.of(this.path);
    const seen = new Map<Kind, Promise<Lines>>();
    const linesOf = (kind: Kind) => {
      const known = seen.get(kind) ??
        Firewall.ofKind(kind, this.path).look().then((view) => new Lines(view));
      seen.set(kind, known);
      return known;
    };
    return {
      missing: async (record) => {
        const missing: string[] = [];
        for (const family of familiesOf(record)) {
          const lines = await linesOf(record.variants?.[family] ?? usual.kinds[family]);
          const { chains, jumps } = structure(record, family);
          missing.push(
            ...chains.filter(({ place }) => !lines.view.hasChain(place))
              .map(({ place: { chain, table } }) => `chain ${chain} of table ${table}`),
            ...[...jumps.map(({ rule }) => rule), ...ownRules(record, family)]
              .filter((rule) => !lines.has(rule)).map(ruleLine),
          );
        }
        return missing;
      },
    };
  }

  async ready(): Promise<void> {
    const firewall = await Firewall.of(this.path);
    await firewall.requireProgram([4]);
    (await firewall.look([4])).hasChain({ family: 4, table: "nat", chain: "PREROUTING" });
  }
}

/** The rules that are there, each chain read once for all who ask. */
class Lines {
  readonly #chains = new Map<string, ReadonlySet<string>>();

  constructor(readonly view: FirewallView) {}

  has(rule: FirewallRule): boolean {
    if (rule.words) return this.view.missing([rule]).length === 0;
    const { family, table, chain } = rule;
    const key = `${family} ${table} ${chain}`;
    const lines = this.#chains.get(key) ??
      new Set(this.view.rules({ family, table, chain }).map(ruleLine));
    this.#chains.set(key, lines);
    return lines.has(ruleLine(rule));
  }
}

function missingStructure(
  view: FirewallView,
  record: MappingRecord,
  family: Family,
): FirewallChange[] {
  const { chains, jumps } = structure(record, family);
  return [
    ...chains.filter(({ place }) => !view.hasChain(place)).flatMap((
      { place, rules },
    ): FirewallChange[] => [{ addChain: place }, ...rules.map((add) => ({ add }))]),
    ...jumps.filter(({ rule }) => view.missing([rule]).length > 0)
      .map(({ rule, first }) => ({ add: rule, first })),
  ];
}

/** By the handles on record, if all still lead to the attachment's rules; else by the comment. */
function removal(
  view: FirewallView,
  attachment: Removal,
  others: OtherRecords,
  family: Family,
): FoundRule[] {
  const { containerId, handles } = attachment;
  const recorded = (handles?.[family] ?? []).map(({ table, chain, handle }): FoundRule => ({
    ...{ family, table: table as Place["table"], chain },
    id: handle,
    unknown: [],
  }));
  if (recorded.length > 0 && view.recall?.(recorded, commentOf(containerId))) return recorded;
  const found = possibleChains(attachment).flatMap((chain) =>
    view.withComment({ family, table: "nat", chain }, possibleComments(containerId))
  );
  const ofOthers = (found.length > 0 ? others() : []).flatMap((one) => ownRules(one, family));
  const kept = new Set(view.find(ofOthers).map(({ id }) => id));
  return found.filter(({ id }) => !kept.has(id));
}
