/**
 * Does `work` for every item, for at most `width` of them at the same time; in the end, the
 * results are in the order of the items.
 */
export async function concurrently<T, R>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries(); // shared: each worker takes the next one
  await Promise.all(Array.from({ length: width }, async () => {
    for (const [i, item] of queue) results[i] = await work(item);
  }));
  return results;
}
