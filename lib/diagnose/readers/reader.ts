/** A reader looks for one kind of cause in what was seen of a question. */
import {
  type Cause,
  cause,
  type Mechanism,
  type Place,
  type Proof,
  removing,
  type Values,
} from "../../facts/cause.ts";
import type { Code } from "../../facts/words.ts";
import type { Evidence } from "../evidence.ts";
import type { KnownRule } from "../observe/rules.ts";

type Found = readonly Cause[];

/** @returns nothing where it is not that */
export type Reader = (evidence: Evidence) => Promise<Found> | Found;

/** What the first look finds that finds anything. */
export async function firstOf(...looks: (() => Promise<Found> | Found)[]): Promise<Found> {
  for (const look of looks) {
    const found = await look();
    if (found.length > 0) return found;
  }
  return [];
}

/** A cause that is a rule, which is deleted where that is possible. */
export function ruleCause(
  code: Code,
  { ref, remove, ...rule }: KnownRule,
  seen: readonly Proof[],
  values: Values = {},
  { mechanism = rule.mechanism, place = "agent" }: { mechanism?: Mechanism; place?: Place } = {},
): Cause {
  const fix = remove && removing(ref.text, remove);
  return cause(code, [mechanism, place], { ...values, rule: ref }, seen, fix);
}
