/** The iptables backend: rules of chains of its own, in whichever kind of iptables the host has. */
import type { ChangesLock } from "./locks.ts";
import { FAMILIES, type Family } from "../base/ip.ts";
import { log } from "../base/log.ts";
import { Firewall } from "../firewall/firewall.ts";
import { type FirewallRule, foundAt, type FoundRule, ruleLine } from "../firewall/rule.ts";
import { IptablesTool, type Kind } from "../firewall/tool.ts";
import type { RuleSteps } from "../firewall/transaction.ts";
import { completing, type FirewallView, rulesOf } from "../firewall/view.ts";
import type { Backend, Removal, Traces } from "./backend.ts";
import { LOOPBACK_CHAIN, ownRules, SNAT_CHAIN, structure } from "./iptables_rules.ts";
import { commentOf, ledEndpoints, possibleComments } from "./mapping.ts";
import { type MappingRecord, otherRecordsOf } from "./record.ts";
import { changingRules } from "./strangers.ts";

const KINDS: readonly Kind[] = ["nf_tables", "legacy"];

export class Iptables implements Backend {
  /** @param path where to look for iptables first */
  constructor(private readonly path: string) {}

  async *install(record: MappingRecord, lock: ChangesLock, firewall: Firewall): RuleSteps<Traces> {
    const families = ledEndpoints(record).map(({ family }) => family);
    // Rules of iptables are not written where it can't list them.
    for (const family of families) await IptablesTool.require(family, this.path);
    const own = ownRules(record);
    const changed = await changingRules();
    const ids = yield {
      families,
      plan: (view) => [...completing(view, structure(record)), ...own.map((add) => ({ add }))],
      what: `write the rules of container ${record.containerId}`,
      lock,
    };
    await changed();
    const { handles, variants }: Required<Traces> = { handles: {}, variants: {} };
    for (const family of families) {
      const kind = variants[family] = firewall.kinds[family];
      const known = own.filter((rule) => rule.family === family).flatMap((rule) => {
        const handle = ids.get(rule);
        return handle ? [{ table: rule.table, chain: rule.chain, handle }] : [];
      });
      if (known.length > 0) handles[family] = known;
      log.debug("rules were written", { container: record.containerId, family, kind });
    }
    return { handles, variants };
  }

  async remove(attachment: Removal, lock: ChangesLock): Promise<void> {
    const { variants, endpoints } = attachment;
    const changed = await changingRules();
    const every = new Set((await Firewall.every(this.path)).map(({ kinds }) => kinds[4]));
    for (const kind of KINDS) {
      // Where the endpoints are known, a family without one has no rules.
      const families = FAMILIES.filter((family) =>
        (!endpoints?.length || endpoints.some((one) => one.family === family)) &&
        (variants?.[family] ? variants[family] === kind : every.has(kind))
      );
      if (families.length === 0) continue;
      await Firewall.ofKind(kind, this.path).change({
        families,
        plan: (view) =>
          families.flatMap((family) => removal(view, attachment, family))
            .map((remove) => ({ remove })),
        what: `remove the rules of container ${attachment.containerId}`,
        lock,
      });
    }
    await changed();
  }

  async missing(records: readonly MappingRecord[]): Promise<string[][]> {
    const usual = await Firewall.of(this.path);
    const wanted = records.map((record) =>
      [...rulesOf(structure(record)), ...ownRules(record)].map((rule) => {
        const kind = record.variants?.[rule.family] ?? usual.kinds[rule.family];
        return { rule, kind };
      })
    );
    const lost = new Set<FirewallRule>();
    for (const [kind, some] of Map.groupBy(wanted.flat(), ({ kind }) => kind)) {
      // Each chain is read once for all who ask.
      const view = await Firewall.ofKind(kind, this.path).look();
      for (const rule of view.missing(some.map(({ rule }) => rule))) lost.add(rule);
    }
    return wanted.map((own) =>
      own.filter(({ rule }) => lost.has(rule)).map(({ rule }) => ruleLine(rule))
    );
  }

  async ready(): Promise<void> {
    await IptablesTool.require(4, this.path);
    const firewall = await Firewall.of(this.path);
    (await firewall.look([4])).hasChain({ family: 4, table: "nat", chain: "PREROUTING" });
  }
}

/**
 * By the handles on record, if all still lead to the attachment's rules; else by the comment. Where the
 * jump to them stands twice, somebody has replayed all rules, and there are some that no handle leads to.
 */
function removal(
  view: FirewallView,
  attachment: Removal,
  family: Family,
): FoundRule[] {
  const { containerId, handles } = attachment;
  const recorded = (handles?.[family] ?? []).map((one) => foundAt({ family, ...one }, one.handle));
  if (recorded.length > 0) {
    const [jump] = rulesOf(structure(attachment as MappingRecord))
      .filter((rule) => rule.family === family);
    const isReplayed = view.find([jump!]).length > 1;
    if (!isReplayed && view.recall(recorded, commentOf(containerId))) return recorded;
  }
  const found = [attachment.chain, LOOPBACK_CHAIN, SNAT_CHAIN].flatMap((chain) =>
    view.withComment({ family, table: "nat", chain }, possibleComments(containerId))
  );
  const ofOthers = (found.length > 0 ? otherRecordsOf(attachment) : []).flatMap(ownRules);
  const kept = new Set(
    view.find(ofOthers.filter((rule) => rule.family === family)).map(({ id }) => id),
  );
  return found.filter(({ id }) => !kept.has(id));
}
