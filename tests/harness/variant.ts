/** The compiled program with a constant changed, as a release before or after it might have it. */
import { assert } from "@std/assert";
import { MESOS_CNI } from "./binary.ts";

/** Of the runtime, which comes first, nothing is changed: what is ours lies at the end. */
const OURS = 16 * 1024 * 1024;

/**
 * Copies the program and replaces text in it.
 *
 * @param changes old text to new text of the same length
 */
export async function makeVariant(path: string, changes: Record<string, string>): Promise<void> {
  const bytes = await Deno.readFile(MESOS_CNI);
  const ours = bytes.subarray(-OURS);
  for (const [before, after] of Object.entries(changes)) {
    const [wanted, put] = [before, after].map((text) => new TextEncoder().encode(text));
    assert(wanted!.length === put!.length, "a change of length would move what follows");
    let found = 0;
    for (let at = find(ours, wanted!, 0); at >= 0; at = find(ours, wanted!, at + 1)) {
      ours.set(put!, at);
      found++;
    }
    assert(found > 0, `the program holds ${before}`);
  }
  await Deno.writeFile(path, bytes, { mode: 0o755 });
}

function find(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(wanted[0]!, from); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}
