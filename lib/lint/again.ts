/** Each item with the key of an earlier one, behind the first of that key. */
export function* again<T>(
  items: Iterable<T>,
  key: (item: T) => string | undefined,
): Generator<[first: T, again: T]> {
  const first = new Map<string, T>();
  for (const item of items) {
    const name = key(item);
    const earlier = name === undefined ? undefined : first.get(name);
    if (earlier) yield [earlier, item];
    else if (name !== undefined) first.set(name, item);
  }
}
