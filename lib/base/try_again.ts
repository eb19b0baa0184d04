/**
 * Work that somebody else's at the same moment may disturb. It is done again a few times only: a
 * reason that stays is told, and not waited for.
 *
 * @param isPassing whether an error is of that kind
 * @throws whatever the last attempt did
 */
export function tryAgain<R>(
  attempts: number,
  isPassing: (error: unknown) => boolean,
  work: () => R,
): R {
  for (let attempt = 1;; attempt++) {
    try {
      return work();
    } catch (error) {
      if (attempt >= attempts || !isPassing(error)) throw error;
    }
  }
}
