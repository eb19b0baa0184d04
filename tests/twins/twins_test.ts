/**
 * The same calls on the reference's plugins and on ours, each in a network of its own. With
 * TWINS_REFERENCE, another build of the reference is the judge.
 */
import { partOf } from "../harness/part.ts";
import { CASES } from "./cases.ts";
import { CHAINED_CASES } from "./chained_cases.ts";
import { heldOutCases } from "./held_out.ts";
import { OURS, REFERENCE, RELEASE, TwinNetwork } from "./network.ts";
import { judgeAll } from "./run.ts";

const all = [...CASES, ...CHAINED_CASES, ...heldOutCases(RELEASE, "here")]
  .filter(({ newer }) => !(RELEASE === "debians" && newer !== undefined));
/** The newest release judges all. */
const cases = RELEASE === "debians" ? partOf(all, 10) : all;

Deno.test(`twins: ${cases.length} cases come to the same with the reference and with ours`, async (t) => {
  await judgeAll(t, {
    cases,
    release: RELEASE,
    atOnce: 3,
    steps: async (twin, whose) => {
      await using network = await TwinNetwork.create();
      return await network.run(twin, () => whose === "theirs" ? REFERENCE : OURS);
    },
  });
});
