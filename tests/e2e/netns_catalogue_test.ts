/**
 * The catalogue of faults and of healthy set-ups, each a test of its own: the right cause is named
 * first, word for word, its remedies run and mend, and what is healthy is called so. By default a part
 * of it that the commit chooses, in CI three times as much; `./dev catalogue` makes all.
 *
 * The faults of outside.json are by an author who had not seen this program.
 */
import { assertEquals } from "@std/assert";
import { readSetups, runSetups } from "../harness/catalogue.ts";
import { complaintsOf, type Setup } from "../harness/diagnosis_judge.ts";
import { COMMIT } from "../harness/commit.ts";
import { choiceOf, chosenOf, LISTS } from "../harness/rotation.ts";
import { ALL_PARTS } from "../harness/scale.ts";

const choice = choiceOf(Deno.env.get("MESOS_CNI_TEST_CATALOGUE") || COMMIT);
const chosen: (Setup & { list: string })[] = [];
for (const list of LISTS) {
  const setups = chosenOf(list, await readSetups<Setup>(list), choice, ALL_PARTS ? 1 : 3);
  chosen.push(...setups.map((setup) => ({ ...setup, list })));
}
if (chosen.length === 0) throw new Error(`no set-up of the catalogue is ${choice.name}`);

// All before the tests, which come one after the other: these wait more than they work.
const file = Deno.env.get("MESOS_CNI_TEST_CATALOGUE_FILE");
const outcomes = await runSetups(chosen, (outcome) => {
  const verdict = complaintsOf(outcome).length === 0 ? "right" : "WRONG";
  console.log(`${verdict}  ${outcome.setup.name}  (${outcome.ms.toFixed(0)} ms)`);
  if (file) Deno.writeTextFileSync(file, `${JSON.stringify(outcome)}\n`, { append: true });
});

for (const outcome of outcomes) {
  const { list, name } = outcome.setup;
  Deno.test(`${list}: ${name} (${choice.name})`, () => {
    assertEquals(complaintsOf(outcome), []);
  });
}
