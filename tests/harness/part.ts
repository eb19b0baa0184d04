/** What of a long list a run does. */
import { COMMIT } from "./commit.ts";
import { choiceOf } from "./rotation.ts";
import { ALL_PARTS, FULL, PARTS } from "./scale.ts";

/**
 * One of so many parts of a list: the commit's, or what `MESOS_CNI_TEST_PARTS` says, `all` or the K-th of
 * N (`2/3`). CI does all of it with the compiled program. On the runtime of releases it says `runtime`:
 * there it does the commit's part, and all of those lists alone whose elements ask for another thing of a
 * runtime, and not of our code or of the kernel.
 *
 * @param of what the elements differ by
 */
export function partOf<T>(all: readonly T[], parts: number, of?: "runtime"): T[] {
  const isRuntimes = PARTS === "runtime" && !FULL;
  if (ALL_PARTS && (!isRuntimes || of === "runtime")) return [...all];
  const choice = choiceOf(isRuntimes ? COMMIT : PARTS ?? COMMIT);
  const size = Math.ceil(all.length / parts);
  const chosen = all.filter((_, i) => choice.takes(`${i}`, i, all.length, size));
  return chosen.length > 0 ? chosen : [...all]; // of `3/3`, a list of two has none
}
