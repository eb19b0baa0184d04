/** What of a long list a run does. */
import { COMMIT } from "./commit.ts";
import { choiceOf } from "./rotation.ts";
import { ALL_PARTS } from "./scale.ts";

/**
 * One of so many parts of a list: the commit's, or what `MESOS_CNI_TEST_PARTS` says, `all` or the K-th of
 * N (`2/3`). CI does all of it.
 */
export function partOf<T>(all: readonly T[], parts: number): T[] {
  if (ALL_PARTS) return [...all];
  const choice = choiceOf(Deno.env.get("MESOS_CNI_TEST_PARTS") || COMMIT);
  const size = Math.ceil(all.length / parts);
  const chosen = all.filter((_, i) => choice.takes(`${i}`, i, all.length, size));
  return chosen.length > 0 ? chosen : [...all]; // of `3/3`, a list of two has none
}
