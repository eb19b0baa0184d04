/** The causes of all questions as one list: each once, the right one first. */
import { type Cause, isProblem } from "../facts/cause.ts";
import { textOf } from "../facts/sentences.ts";
import type { Journey } from "./journey.ts";
import type { Question } from "./questions/question.ts";

const MOST_CAUSES = 20;

/**
 * @param explained of questions that failed, in the order of the way
 * @param read what only facts told
 */
export function mergeCauses(explained: readonly Cause[], read: readonly Cause[]): Cause[] {
  const inOrder = [
    ...explained.filter((one) => !isVague(one)),
    ...read.filter(isProblem),
    ...explained.filter(isVague),
    ...read.filter((one) => !isProblem(one)),
  ];
  const merged = new Map<string, Cause>();
  for (const one of inOrder) {
    const key = `${one.code}\t${textOf(one)}`;
    const same = merged.get(key);
    merged.set(key, same ? joined(same, one) : one);
  }
  const all = [...merged.values()];
  const problems = all.filter(isProblem);
  const [first] = problems;
  return [
    ...problems.map((one) =>
      // What was lost at the same place, and has no reason of its own, follows from the cause there.
      first && one !== first && isVague(one) && !isVague(first) && one.place === first.place
        ? { ...one, consequenceOf: first.code }
        : one
    ),
    ...all.filter((one) => !isProblem(one)),
  ].slice(0, MOST_CAUSES);
}

/** What says where packets are lost, and not why: whatever was read comes before it. */
const VAGUE: ReadonlySet<string> = new Set(["lost", "no_time", "packets_lost", "payload_lost"]);

function isVague({ code }: Cause): boolean {
  return VAGUE.has(code);
}

/** One cause that several questions met: its remedy must do for all of them. */
function joined(one: Cause, other: Cause): Cause {
  const fix = one.fix && other.fix &&
    { ...one.fix, commands: union(one.fix.commands, other.fix.commands) };
  return { ...one, seen: union(one.seen, other.seen), fix: fix ?? one.fix };
}

function union<T>(some: readonly T[], more: readonly T[]): T[] {
  return [...new Map([...some, ...more].map((one) => [JSON.stringify(one), one])).values()];
}

/** Rules of ICMP alone, as iptables and nft (with numbers) write them; not what a rejection is answered with. */
const OF_ICMP =
  /(?<!! )-p (?:ipv6-)?icmp(?:v6)?\b|(?<!with )\bicmp(?:v6)? (?:type|code) |\b(?:l4proto|protocol|nexthdr) (?:1|58|(?:ipv6-)?icmp(?:v6)?)(?: |$)/;

/**
 * What a firewall drops of ours alone is no fault of anybody's: a rule that is for ICMP, or a policy where TCP
 * is answered by the same link.
 *
 * @returns the causes as hints; undefined where others may be lost as well
 */
export function ofEchoAlone(
  causes: readonly Cause[],
  { protocol, family, sizes, destination, journey }: Question,
  answered: readonly Question[],
): Cause[] | undefined {
  if (protocol !== "icmp") return undefined;
  const { from, to } = journey;
  const same = answered.filter((one) =>
    one.family === family && one.journey.from === from && one.journey.to === to
  );
  // Where small ones are answered, it is the size that is lost.
  if (sizes && same.some((one) => one.protocol === "icmp" && one.destination === destination)) {
    return undefined;
  }
  const others = same.filter((one) => one.protocol !== "icmp");
  const byPolicy = others.filter((one) =>
    one.protocol === "tcp" && lastLink(one.journey) === lastLink(journey)
  );
  const allows = causes.map(({ code, why, rule }) => {
    if (why !== undefined) return [];
    if (code === "policy_drop") return byPolicy;
    const text = code === "rule_drop" ? rule!.text : "";
    // Of a rule against one destination the others tell nothing.
    return OF_ICMP.test(text) && !/(?:^| )(?:-d|daddr) /.test(text) ? others : [];
  });
  if (causes.length === 0 || allows.some((one) => one.length === 0)) return undefined;
  return causes.map((one, i) => {
    const by = [...new Set(allows[i]!.map((other) => other.protocol.toUpperCase()))].join(" and ");
    const value = `answers came there by ${by}: it may be meant so`;
    return { ...one, level: "hint", fix: undefined, why: "an echo", value };
  });
}

function lastLink({ legs }: Journey): number | undefined {
  return legs.findLast(({ way }) => way === "there")?.stop.link.index;
}
