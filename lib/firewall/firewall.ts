/** The firewall of this host, as one thing: what is there, and changes of it as one transaction. */
import { OperatorError } from "../base/error.ts";
import { FAMILIES, type Family } from "../base/ip.ts";
import { log } from "../base/log.ts";
import { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import { decideKind, type Kinds } from "./kind.ts";
import { placeOf, Programs, requireUnneeded } from "./legacy.ts";
import { currentGeneration, NfTables } from "./nf_tables.ts";
import type { FirewallRule } from "./rule.ts";
import { IptablesTool, type Kind, legacyTables } from "./tool.ts";
import {
  type ApplyOptions,
  BothFamilies,
  type Driver,
  type FirewallChange,
  type FirewallView,
  type Ids,
  type Plan,
  Stale,
} from "./view.ts";

/** How often changes are planned anew that others' changes came between. */
const ATTEMPTS = 20;

/** Changes that somebody wants, with what they are about. */
export interface RuleRequest {
  /** Those that are looked at, or changed. */
  families: readonly Family[];
  plan: Plan;
  /** As an operator would say it: `write the rules of container a`. */
  what: string;
  /** Is not free before a program that changes rules has ended, even if this process is killed. */
  lock?: FileLock;
}

export class Firewall {
  private constructor(
    readonly kinds: Kinds,
    private readonly path: string,
    private readonly drivers: Readonly<Record<Kind, Driver>> = {
      nf_tables: new NfTables(),
      legacy: Programs.legacy(path),
    },
  ) {}

  /**
   * Where rules are made on this host.
   *
   * @param path where to look for iptables first
   * @throws {OperatorError}
   */
  static async of(path: string): Promise<Firewall> {
    const [four, six] = await Promise.all(FAMILIES.map((family) => decideKind(family, path)));
    return new Firewall({ 4: four!.kind, 6: six!.kind }, path);
  }

  /** Where they were made, as a record says. */
  static ofKind(kind: Kind, path: string): Firewall {
    return new Firewall({ 4: kind, 6: kind }, path);
  }

  /** Wherever there may be rules: for what looks for them, or removes them. @throws {OperatorError} */
  static async every(path: string): Promise<Firewall[]> {
    const kinds: Kind[] = [];
    if (currentGeneration() !== undefined) kinds.push("nf_tables");
    for (const family of FAMILIES) {
      const isThere = !kinds.includes("legacy") && legacyTables(family).length > 0 &&
        await IptablesTool.findLegacy(family, path);
      if (isThere) kinds.push("legacy");
    }
    return kinds.map((kind) => Firewall.ofKind(kind, path));
  }

  /**
   * Removes rules wherever there may be some.
   *
   * @param marks bytes that they hold: by these it is known of rules that no program can read whether they stay
   * @throws {OperatorError}
   */
  static async removeEvery(
    path: string,
    { plan, marks, ...request }: Omit<RuleRequest, "plan" | "families"> & {
      marks: readonly (string | Uint8Array)[];
      plan(view: FirewallView, kind: Kind): readonly FirewallChange[];
    },
  ): Promise<void> {
    for (const firewall of await Firewall.every(path)) {
      await firewall.change({
        ...request,
        families: FAMILIES,
        plan: (view) => plan(view, firewall.kinds[4]),
      });
    }
    const encoder = new TextEncoder();
    const bytes = marks.map((mark) => typeof mark === "string" ? encoder.encode(mark) : mark);
    for (const family of FAMILIES) await requireUnneeded(family, path, bytes);
  }

  /** What is there, of these families. @throws {OperatorError} */
  async look(families: readonly Family[] = FAMILIES): Promise<FirewallView> {
    const views: { [family in Family]?: FirewallView } = {};
    for (const family of families) {
      views[family] = await this.drivers[this.kinds[family]].look(family);
    }
    return new BothFamilies(views);
  }

  /**
   * Makes all changes that are asked for in one transaction (legacy: in one of each table).
   *
   * @throws {OperatorError} of the first that is refused; then none was made, where nf_tables has
   *   them
   */
  async change(...requests: readonly RuleRequest[]): Promise<Ids> {
    const families = FAMILIES.filter((family) =>
      requests.some((request) => request.families.includes(family))
    );
    const what = requests.map((request) => request.what).join(", and ");
    const lock = requests.find((request) => request.lock)?.lock;
    let refused: OperatorError | undefined;
    for (let attempt = 1;; attempt++) {
      const generation = currentGeneration();
      const view = await this.look(families);
      const changes = requests.flatMap(({ plan }) =>
        plan(view, refused instanceof SystemError ? refused : undefined)
      );
      try {
        return await this.#apply(changes, what, { generation, lock });
      } catch (error) {
        if (error instanceof Stale && attempt < ATTEMPTS) continue;
        const isRefusal = error instanceof SystemError ||
          (error instanceof OperatorError && error.code === "iptables_failed");
        if (!isRefusal) throw error;
        if (refused) return await this.#byProgram(requests, families, what, error, lock);
        // Another program may have changed the same thing unseen: so it is looked once more.
        refused = error;
      }
    }
  }

  /** One batch for all of nf_tables; it takes tables of our own along on every host. */
  async #apply(
    changes: readonly FirewallChange[],
    what: string,
    options: ApplyOptions,
  ): Promise<Ids> {
    const ids = new Map<FirewallRule, string>();
    for (const kind of ["nf_tables", "legacy"] as const) {
      const own = changes.filter((change) =>
        ("nft" in change ? "nf_tables" : this.kinds[placeOf(change).family]) === kind
      );
      if (own.length === 0) continue;
      for (const [rule, id] of await this.drivers[kind].apply(own, what, options)) {
        ids.set(rule, id);
      }
    }
    return ids;
  }

  /** What the kernel refuses over netlink (its buffers are too small, say), iptables itself may do. */
  async #byProgram(
    requests: readonly RuleRequest[],
    families: readonly Family[],
    what: string,
    error: OperatorError,
    lock?: FileLock,
  ): Promise<Ids> {
    const find = (family: Family) => IptablesTool.find(family, this.path);
    for (const family of families) {
      const isOther = this.kinds[family] === "legacy" || (await find(family))?.kind === "legacy";
      if (!(error instanceof SystemError) || isOther) throw error;
    }
    const programs = new Programs(find);
    const drivers = { nf_tables: programs, legacy: programs };
    const view = await new Firewall(this.kinds, this.path, drivers).look(families);
    const changes = requests.flatMap(({ plan }) => plan(view));
    if (changes.some((change) => "nft" in change)) throw error;
    const fields = { what, error: error.message };
    log.info("the kernel refused rules over netlink; iptables-restore writes them", fields);
    return await programs.apply(changes, what, { lock });
  }
}
