/** What is worked out once for each object, however many ask, and kept for as long as that is there. */
export function onceEach<K extends object, V extends object>(workOut: (of: K) => V): (of: K) => V {
  const known = new WeakMap<K, V>();
  return (of) => {
    const value = known.get(of) ?? workOut(of);
    known.set(of, value);
    return value;
  };
}
