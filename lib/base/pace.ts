/** Long work in slices: what looks at thousands of things lets the others have their turns; and work that is given up. */

/** How long, in ms, such work may hold up everything else at a time. */
const SLICE_MS = 3;

/** The pace of one piece of work. */
export class Pace {
  #since = performance.now();
  #resting: Promise<void> | undefined;

  /** Waits until the others have had their turns, if the slice is used up. */
  async rest(): Promise<void> {
    if (performance.now() - this.#since < SLICE_MS) return;
    // One timer for all that keep this pace: with one for each, some timer would always be due, and
    // the runtime would hardly get to look for what came in from outside.
    await (this.#resting ??= this.#pause());
  }

  async #pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    this.#since = performance.now();
    this.#resting = undefined;
  }
}

/** Waits for work, at most for so long. @returns undefined for what has not come to an end by then */
export async function inTime<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: number | undefined;
  const late = new Promise<undefined>((resolve) => {
    if (ms < Infinity) timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
