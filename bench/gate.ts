/**
 * What makes `./dev bench` fail: a goal that RESULTS.md holds as met, and that is missed now.
 *
 * `./dev bench --gate`: fails when a ratio has become worse by half. What is compared are the goals
 * that have no unit (so much of what something else takes in the same run, which a slow machine
 * changes little), with those that RESULTS.md holds.
 */

/** So many times what it was, and it is worse; machines of a public CI differ by less. */
const WORSE = 1.5;
/** A ratio below this is mostly noise. */
const LEAST = 0.1;

/** The ratios of `goal met: WHAT: 1.22 (at most 0.9)`, by what they are of. */
export function ratiosOf(text: string): Map<string, number> {
  const lines = text.matchAll(/^goal (?:met|MISSED): (.+): (\d+\.\d+) \(at most [\d.]+\)$/gm);
  return new Map([...lines].map(([, what, value]) => [what!, Number(value)]));
}

/** A line for each ratio, and whether all are well. */
export function compare(before: string, now: string): { lines: string[]; isWell: boolean } {
  const earlier = ratiosOf(before);
  let isWell = true;
  const lines = [...ratiosOf(now)].map(([what, value]) => {
    const old = earlier.get(what);
    if (old === undefined) return `new: ${what}: ${value.toFixed(2)}`;
    const isWorse = value > Math.max(old, LEAST) * WORSE;
    isWell &&= !isWorse;
    return `${isWorse ? "WORSE" : "well"}: ${what}: ${value.toFixed(2)}, was ${old.toFixed(2)}`;
  });
  if (lines.length === 0) return { lines: ["no ratio was measured"], isWell: false };
  return { lines, isWell };
}

/** The goals that were met before and are missed now, as they read now. */
export function newlyMissed(before: string, now: string): string[] {
  const met = new Set([...before.matchAll(/^goal met: (.+): [\d.]+/gm)].map(([, what]) => what!));
  return [...now.matchAll(/^goal MISSED: (.+): [\d.]+.*$/gm)]
    .filter(([, what]) => met.has(what!)).map(([line]) => line);
}
