/**
 * Fields of what a Go program may have written. Go matches the keys of JSON without regard to the
 * case of letters, and its programs rely on that: go-cni's mappings arrive as `HostPort`.
 */
import type { Json, JsonObject } from "../../lib/base/json.ts";

/** A field by its name: written exactly so if it is there, else in any case. */
export function field(object: JsonObject, name: string): Json | undefined {
  if (Object.hasOwn(object, name)) return object[name];
  const wanted = name.toLowerCase();
  const key = Object.keys(object).find((key) => key.toLowerCase() === wanted);
  return key === undefined ? undefined : object[key];
}

/** An object whose fields of these names have exactly them; the others stay as they are. */
export function withNames(object: JsonObject, names: readonly string[]): JsonObject {
  const spelled = new Map(names.map((name) => [name.toLowerCase(), name]));
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    const name = spelled.get(key.toLowerCase()) ?? key;
    // The exact spelling wins over another.
    if (name === key || !Object.hasOwn(object, name)) result[name] = value;
  }
  return result;
}
