/**
 * A look at a whole machine that several ask for at a time: who asks while one is under way shares the
 * one after it, so that each answer is of a look that began after the question.
 */
export function sharing<T>(look: () => Promise<T>): () => Promise<T> {
  let under: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  return () =>
    next ??= (async () => {
      await under?.catch(() => {}); // whoever began that one hears of it
      under = next;
      next = undefined;
      return await look();
    })();
}
