/**
 * What the reference has attached, detached by ours, and the other way round: it comes to the same as
 * where the reference does both. The newest release is the judge; `tests/e2e/plugins_test.ts` has a few
 * cases for Debian's.
 */
import type { Twin } from "./case.ts";
import { CASES } from "./cases.ts";
import { CHAINED_CASES } from "./chained_cases.ts";
import { OF_OURS } from "./exceptions.ts";
import { heldOutCases } from "./held_out.ts";
import { OURS, REFERENCE, RELEASE, TwinNetwork } from "./network.ts";
import { judgeAll } from "./run.ts";

const commandOf = ({ steps }: Twin, step: number) => {
  const one = steps[step]!;
  return "command" in one ? one.command : undefined;
};
const isAdd = (twin: Twin, step: number) => commandOf(twin, step) === "ADD";
/** Those in which something may be detached. */
const cases = [...CASES, ...CHAINED_CASES, ...heldOutCases(RELEASE, "here")].filter((twin) => {
  const first = twin.steps.findIndex((_, step) => isAdd(twin, step));
  return first >= 0 &&
    twin.steps.some((_, step) =>
      step > first && ["DEL", "CHECK", "GC"].includes(commandOf(twin, step) ?? "")
    );
});

const WAYS = [
  { what: "ours detaches what the reference attached", by: REFERENCE, other: OURS, crossed: [] },
  {
    what: "the reference detaches what ours attached",
    by: OURS,
    other: REFERENCE,
    crossed: OF_OURS,
  },
];
for (const { what, by, other, crossed } of WAYS) {
  Deno.test({
    name: `twins: ${cases.length} cases come to the same where ${what}`,
    ignore: RELEASE === "debians",
    fn: async (t) => {
      await judgeAll(t, {
        cases,
        release: RELEASE,
        atOnce: 3,
        crossed,
        steps: async (twin, whose) => {
          await using network = await TwinNetwork.create();
          return await network.run(
            twin,
            (step) => whose === "theirs" ? REFERENCE : isAdd(twin, step) ? by : other,
          );
        },
      });
    },
  });
}
