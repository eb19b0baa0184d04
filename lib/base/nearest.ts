/** The candidate that `word` is most likely a misspelling of, if any is close. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    // Of a short word, two other letters make another word: "ifName" is no "name".
    const limit = Math.max(1, Math.floor(Math.min(word.length, candidate.length) / 3));
    // The difference in length alone is that much to insert or delete.
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const letters = distance(word, candidate);
    if (letters <= limit && letters < bestDistance) [best, bestDistance] = [candidate, letters];
  }
  return best;
}

/** A candidate that a slip of the fingers makes: a letter more, less or wrong, or two swapped. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const near = nearest(word, candidates);
  if (!near || near === word) return undefined;
  const letters = distance(word, near);
  // Of the same letters in another order: swapped further apart.
  const isSwap = [...word].sort().join("") === [...near].sort().join("");
  return letters === 1 || (letters === 2 && (isSwap || word.length >= 8)) ? near : undefined;
}

/**
 * How many letters must be inserted, deleted or replaced, or swapped with the next one, to make
 * `b` of `a` (optimal string alignment).
 */
function distance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      current[j] = Math.min(
        previous[j]! + 1,
        current[j - 1]! + 1,
        previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        current[j] = Math.min(current[j]!, beforePrevious[j - 2]! + 1);
      }
    }
    [beforePrevious, previous] = [previous, current];
  }
  return previous[b.length]!;
}
