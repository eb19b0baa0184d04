// deno-lint-ignore-file require-await
/** The nftables backend: the elements of one table, changed over netlink in one transaction. */
import { messageOf, OperatorError } from "../base/error.ts";
import { SystemError } from "../kernel/libc.ts";
import { Firewall } from "../firewall/firewall.ts";
import type { RuleSteps } from "../firewall/transaction.ts";
import type { Plan } from "../firewall/view.ts";
import type { Change } from "../nft/batch.ts";
import { addElements, deleteElements, readElements } from "../nft/sets.ts";
import { generation, Rules } from "../nft/rules.ts";
import type { Backend, Removal, Traces } from "./backend.ts";
import { commentOf, type PortAttachment } from "./mapping.ts";
import {
  covers,
  nameOf,
  nearbyElements,
  ownElements,
  type PlacedElement,
} from "./nftables_elements.ts";
import { isTableComplete, NFT_TABLE, SETS, TABLE, tableChanges } from "../firewall/port_table.ts";
import { type MappingRecord, otherRecordsOf } from "./record.ts";

const ENOENT = 2;
const EEXIST = 17;

export class Nftables implements Backend {
  async *install(record: MappingRecord): RuleSteps<Traces> {
    const own = ownElements(record);
    const plan: Plan = (_, refused) => {
      const isKnown = refused?.errno === ENOENT || refused?.errno === EEXIST;
      if (refused && !isKnown) throw refused;
      // A set that somebody deleted; or elements of the container that have other values.
      const stale = refused ? changesOf(staleElements(record, own), deleteElements) : [];
      return [
        ...refused || !isTableComplete() ? tableChanges() : [],
        ...stale,
        ...changesOf(own, addElements),
        ...nearbyChanges(record),
      ].map((nft) => ({ nft }));
    };
    try {
      yield { families: [], plan, what: `write the elements of container ${record.containerId}` };
    } catch (error) {
      throw told(error);
    }
    return { variants: {} };
  }

  /**
   * By the record of elements that were made; by the comment where that is lost, or what it tells of is
   * not all there: an element at the same key may be another's.
   */
  async remove(attachment: Removal): Promise<void> {
    const { variants, containerId } = attachment;
    const recorded = variants && ownElements(attachment as PortAttachment);
    const marked = () => {
      const kept = new Set(otherRecordsOf(attachment).flatMap(ownElements).map(nameOf));
      return allElements().filter((element) =>
        element.comment === commentOf(containerId) && !kept.has(nameOf(element))
      );
    };
    const plan: Plan = (_, refused) =>
      changesOf(refused || !recorded ? marked() : recorded, deleteElements).map((nft) => ({ nft }));
    const what = `delete the elements of container ${containerId}`;
    try {
      await Firewall.ofKind("nf_tables", "").change({ families: [], plan, what });
    } catch (error) {
      throw told(error);
    }
  }

  async missing(records: readonly MappingRecord[]): Promise<string[][]> {
    const isComplete = isTableComplete();
    const elements = allElements();
    const present = new Set(elements.map(nameOf));
    return records.map((record) => [
      ...isComplete ? [] : [`rules of the table inet ${TABLE}`],
      ...[
        ...ownElements(record).filter((wanted) => !present.has(nameOf(wanted))),
        ...nearbyElements(record)
          .filter((wanted) => !elements.some((element) => covers(element, wanted))),
      ].map(nameOf),
    ]);
  }

  async ready(): Promise<void> {
    try {
      generation();
    } catch (error) {
      throw new OperatorError(
        "no_nftables",
        `this kernel has no nf_tables (${messageOf(error)}); load the module nf_tables, or use ` +
          '"backend": "iptables"',
        { cause: error },
      );
    }
  }
}

/** All elements of the table, with their comments. @throws {SystemError} */
export function allElements(): PlacedElement[] {
  if (!new Rules(NFT_TABLE).isThere()) return [];
  return [...SETS.keys()].flatMap(elementsOf);
}

function elementsOf(set: string): PlacedElement[] {
  return readElements(NFT_TABLE, SETS.get(set)!).map((element) => ({ set, ...element }));
}

/**
 * What is nearby and not yet said. The kernel refuses a range that overlaps another, so what a
 * larger one holds is left out, and smaller ones make room for it.
 */
function nearbyChanges(record: MappingRecord): Change[] {
  const wanted = nearbyElements(record);
  if (wanted.length === 0) return [];
  const present = [...new Set(wanted.map(({ set }) => set))].flatMap((set) => elementsOf(set));
  const missing = wanted.filter((one, index) =>
    ![...present, ...wanted.slice(0, index)].some((other) => covers(other, one)) &&
    !wanted.slice(index + 1).some((other) => covers(other, one) && !covers(one, other))
  );
  const held = present.filter((one) => missing.some((other) => covers(other, one)));
  return [...changesOf(held, deleteElements), ...changesOf(missing, addElements)];
}

/**
 * Elements of the same container that are in the way: they are of an attachment that is no more.
 *
 * @throws {OperatorError} `port_taken` if one is another container's
 */
function staleElements(record: MappingRecord, wanted: readonly PlacedElement[]): PlacedElement[] {
  const comment = commentOf(record.containerId);
  const byKey = new Map(wanted.map(({ set, key }) => [nameOf({ set, key }), set]));
  const stale = allElements().filter(({ set, key, comment }) =>
    comment !== undefined && byKey.has(nameOf({ set, key }))
  );
  const foreign = stale.find((element) =>
    element.comment !== comment && !element.set.startsWith("snat")
  );
  if (!foreign) return stale;
  throw new OperatorError(
    "port_taken",
    `host port ${foreign.key.join(" ")} leads to another container (its element of ` +
      `@${foreign.set} says "${foreign.comment}"); choose another port, or remove that container first`,
  );
}

function changesOf(
  elements: readonly PlacedElement[],
  make: typeof addElements | typeof deleteElements,
): Change[] {
  const bySet = Map.groupBy(elements, ({ set }) => set);
  return [...bySet].flatMap(([name, part]) => make(NFT_TABLE, SETS.get(name)!, part));
}

function told(error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  const message = `nftables rules could not be changed: ${error.message}`;
  return new OperatorError("nft_failed", message, { cause: error });
}
