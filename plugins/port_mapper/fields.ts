/**
 * Fields of what a Go program may have written. Go matches the keys of JSON without regard to the
 * case of letters, and its programs rely on that: go-cni's mappings arrive as `HostPort`.
 */
import type { Json, JsonObject } from "../../lib/base/json.ts";
import { Fields } from "../shared/fields.ts";

/**
 * A field by its name: written exactly so if it is there, else in any case; undefined for what is
 * absent or null.
 */
export function field(object: JsonObject, name: string): Json | undefined {
  return new Fields(object).get(name);
}

/**
 * An object whose fields of these names have exactly them; the others stay as they are. A field of
 * these that is null is left out.
 */
export function withNames(object: JsonObject, names: readonly string[]): JsonObject {
  const spelled = new Map(names.map((name) => [name.toLowerCase(), name]));
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    const name = spelled.get(key.toLowerCase()) ?? key;
    if (value === null && spelled.has(key.toLowerCase())) continue;
    // The exact spelling wins over another.
    if (name === key || !Object.hasOwn(object, name)) result[name] = value;
  }
  return result;
}
