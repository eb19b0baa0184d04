/** CNI_ARGS: `KEY=VALUE;KEY=VALUE`, whose keys a plugin knows, or is told to ignore. */
import { wrong } from "../../lib/cni/fields.ts";

/**
 * Takes the named arguments.
 *
 * @param known the keys that the plugin understands
 * @throws {CniError} for a pair that is none, and for unknown keys without `IgnoreUnknown=true`
 */
export function readCniArgs<K extends string>(
  text: string | undefined,
  known: readonly K[],
): Partial<Record<K, string>> {
  const found: Partial<Record<K, string>> = {};
  const unknown: string[] = [];
  let ignoresUnknown = false;
  for (const pair of text ? text.split(";") : []) {
    const [key, value, ...more] = pair.split("=");
    if (value === undefined || more.length > 0) {
      throw wrong(`CNI_ARGS holds ${JSON.stringify(pair)}; it must be KEY=VALUE;KEY=VALUE`);
    }
    if (known.includes(key as K)) found[key as K] = value;
    else if (key === "IgnoreUnknown") ignoresUnknown = readBoolean(value);
    else unknown.push(pair);
  }
  if (unknown.length > 0 && !ignoresUnknown) {
    throw wrong(
      `CNI_ARGS holds ${unknown.join(";")}, which this plugin does not know; take it out, or ` +
        "add IgnoreUnknown=true",
    );
  }
  return found;
}

function readBoolean(value: string): boolean {
  const text = value.toLowerCase();
  if (text === "1" || text === "true") return true;
  if (text === "0" || text === "false") return false;
  throw wrong(`CNI_ARGS holds IgnoreUnknown=${value}; it must be true or false`);
}
