/** What no trace tells of and the kernel counts: rules of iptables-legacy, queues and filters of tc, IPsec. */
import { unlessRefused } from "../../base/unless.ts";
import { countedRules } from "../../firewall/saved.ts";
import type { Link } from "../../netlink/mod.ts";
import { filters, queues } from "../../netlink/traffic_state.ts";
import type { Stop } from "../journey.ts";
import { procNet, programOutput } from "./programs.ts";
import { actsOfWords, type KnownRule } from "./rules.ts";

/** Something that counts drops, or packets that a rule met. */
export type Counter = { netns?: string; count: number } & (LegacyRule | Qdisc | TcFilter | Stat);

interface LegacyRule {
  kind: "legacy";
  family: 4 | 6;
  rule: KnownRule;
  /** Whether it, or its policy, drops or rejects. */
  drops: boolean;
}

interface Qdisc {
  kind: "qdisc";
  device: string;
  /** `tbf`, `clsact`, … */
  type: string;
  /** With its handle. */
  name: string;
  /** Packets that wait in it and were not dropped: it lets out less than comes. */
  held?: number;
}

/** A number of the namespace's own, such as `XfrmOutNoStates` or `insert_failed`. */
interface Stat {
  kind: "stat";
  name: string;
}

interface TcFilter {
  kind: "filter";
  device: string;
  direction: "ingress" | "egress" | "root";
  name: string;
}

export type LegacyCounter = Counter & LegacyRule;

/** Queues that may have filters. */
const FILTERED = ["clsact", "ingress", "htb", "prio", "tbf"];
const LEGACY = {
  4: ["iptables-legacy", "ip_tables_names"],
  6: ["ip6tables-legacy", "ip6_tables_names"],
} as const;

/** What was counted so far, and what could not be asked. */
export interface Counters {
  by: ReadonlyMap<string, Counter>;
  missing: readonly string[];
}

/** Reads them in every namespace of the stops. */
export async function countersOf(stops: readonly Stop[]): Promise<Counters> {
  const found: Counter[] = [];
  const missing = new Set<string>();
  const reads: Promise<void>[] = [];
  for (const netns of new Set([undefined, ...stops.map(({ netns }) => netns)])) {
    for (const family of [4, 6] as const) {
      const [program, names] = LEGACY[family];
      if (procNet(netns, names).trim() === "") continue;
      reads.push((async () => {
        const text = await programOutput(netns, `${program}-save`, ["-c"]);
        if (text === undefined) missing.add(`the rules of ${program}, for lack of ${program}-save`);
        else found.push(...legacyCounters(text, netns, family));
      })());
    }
  }
  for (const [netns, own] of Map.groupBy(stops, ({ netns }) => netns)) {
    found.push(...tcCounters(netns, own.map(({ link }) => link)), ...statsOf(netns));
  }
  await Promise.all(reads);
  return { by: new Map(found.map((one) => [keyOf(one), one])), missing: [...missing] };
}

/** Of one counter always the same, whatever it has counted. */
function keyOf({ count: _, ...one }: Counter): string {
  return JSON.stringify(one.kind === "qdisc" ? { ...one, held: undefined } : one);
}

export function grownCounters(before: Counters, after: Counters): Counter[] {
  return [...after.by].flatMap(([key, one]): Counter[] => {
    const isGrown = one.count > (before.by.get(key)?.count ?? 0);
    if (one.kind !== "qdisc") return isGrown ? [one] : [];
    return isGrown ? [{ ...one, held: undefined }] : one.held ? [one] : [];
  });
}

/** Of IPsec, in lines of a name and a number; of conntrack, in columns of each processor. */
function statsOf(netns: string | undefined): Counter[] {
  const [names = [], ...rows] = procNet(netns, "stat/nf_conntrack").trim().split("\n")
    .map((line) => line.trim().split(/\s+/));
  return [
    ...procNet(netns, "xfrm_stat").trim().split("\n").map((line) => line.split(/\s+/)),
    ...names.map((name, i) => [
      name,
      rows.reduce((sum, row) => sum + parseInt(row[i] ?? "0", 16), 0),
    ]),
  ].flatMap(([name, count]) =>
    name ? [{ kind: "stat", netns, name: `${name}`, count: Number(count) }] : []
  );
}

function legacyCounters(text: string, netns: string | undefined, family: 4 | 6): Counter[] {
  const [program] = LEGACY[family];
  return countedRules(text).map(({ count, words, ...rule }): Counter => {
    const target = words[words.findIndex((word) => word === "-j" || word === "-g") + 1];
    const isPolicy = words[0] === "-P";
    return {
      ...{ kind: "legacy", netns, family, count },
      drops: isPolicy || target === "DROP" || target === "REJECT",
      rule: {
        ref: { program, family: family === 4 ? "ip" : "ip6", ...rule },
        mechanism: "iptables-legacy",
        acts: actsOfWords(words),
        mentions: (address) => rule.text.includes(address),
        remove: isPolicy ? undefined : [program, "-w", "-t", rule.table, "-D", ...words.slice(1)],
      },
    };
  });
}

/** The queues of a namespace's stops, and the filters of those that have any. */
function tcCounters(netns: string | undefined, links: readonly Link[]): Counter[] {
  const all = unlessRefused(() => queues(netns)) ?? [];
  return links.flatMap(({ index, name: device }): Counter[] => {
    const own = all.filter(({ link }) => link === index);
    const isFiltered = own.some(({ kind }) => FILTERED.includes(kind));
    const found = isFiltered ? unlessRefused(() => filters(index, netns)) ?? [] : [];
    return [
      ...own.map(({ kind: type, handle, drops, held }): Counter => ({
        kind: "qdisc",
        netns,
        device,
        type,
        name: `${type} ${handle}`,
        count: drops,
        held,
      })),
      ...found.map(({ hook, kind, priority, actions, taken }): Counter => ({
        kind: "filter",
        netns,
        device,
        direction: hook,
        name: `${kind} pref ${priority}${actions.length > 0 ? `: ${actions.join(", ")}` : ""}`,
        count: taken,
      })),
    ];
  });
}
