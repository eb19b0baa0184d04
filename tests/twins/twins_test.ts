/**
 * The same calls on the reference's plugins and on ours, each in a network of its own. With
 * TWINS_REFERENCE, another build of the reference is the judge.
 */
import { COMMIT } from "../harness/commit.ts";
import { choiceOf } from "../harness/rotation.ts";
import { CASES } from "./cases.ts";
import { CHAINED_CASES } from "./chained_cases.ts";
import { heldOutCases } from "./held_out.ts";
import { OURS, REFERENCE, RELEASE, TwinNetwork } from "./network.ts";
import { judgeAll } from "./run.ts";

/** With Debian's release, a third that the commit chooses; or what the variable says, such as `all`. */
const PARTS = 3;
const choice = choiceOf(
  RELEASE === "debians" ? Deno.env.get("MESOS_CNI_TEST_TWINS") || COMMIT : "all",
);

const cases = [...CASES, ...CHAINED_CASES, ...heldOutCases(RELEASE, "here")]
  .filter(({ newer }) => !(RELEASE === "debians" && newer !== undefined))
  .filter(({ id }, i, all) => choice.takes(id, i, all.length, Math.ceil(all.length / PARTS)));

Deno.test(`twins (${choice.name}): ${cases.length} cases come to the same with the reference and with ours`, async (t) => {
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
