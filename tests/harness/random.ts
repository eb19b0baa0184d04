/** Numbers that a seed repeats, so that a failure can be repeated. */

export type Random = () => number;

/** A reproducible source of numbers from 0 to 1 (mulberry32). */
export function randomFrom(seed: number): Random {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Some elements of a list, each at most once, in its order. */
export function someOf<T>(all: readonly T[], count: number, random: Random): T[] {
  const picked = all.map((one, i) => ({ one, i, at: random() })).sort((a, b) => a.at - b.at);
  return picked.slice(0, count).sort((a, b) => a.i - b.i).map(({ one }) => one);
}
