/** The causes of all questions as one list: each once, the right one first. */
import { type Cause, isProblem } from "../facts/cause.ts";
import { textOf } from "../facts/sentences.ts";
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

/**
 * What a firewall drops of ours alone is no fault of anybody's: an echo is lost, and TCP or UDP of the same
 * way is answered.
 *
 * @returns the causes as hints; undefined where others may be lost as well
 */
export function ofEchoAlone(
  causes: readonly Cause[],
  { protocol, family, sizes, destination, journey: { from, to } }: Question,
  answered: readonly Question[],
): Cause[] | undefined {
  const isSame = (one: Question) =>
    one.family === family && one.journey.from === from && one.journey.to === to;
  const passes = answered.some((one) => one.protocol !== "icmp" && isSame(one));
  // Where small ones are answered, it is the size that is lost.
  const isOfSize = sizes === true &&
    answered.some((one) => one.protocol === "icmp" && one.destination === destination);
  const isAlone = protocol === "icmp" && passes && !isOfSize && causes.length > 0 &&
    causes.every(({ code, why, rule }) =>
      (code === "policy_drop" || code === "rule_drop") && why === undefined &&
      // Of a rule against one destination the others tell nothing.
      !/(?:^| )(?:-d|daddr) /.test(rule!.text)
    );
  if (!isAlone) return undefined;
  const [why, value] = ["an echo", "TCP and UDP pass there: it may be meant so"];
  return causes.map((one) => ({ ...one, level: "hint", fix: undefined, why, value }));
}
