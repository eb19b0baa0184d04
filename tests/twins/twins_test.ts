/**
 * The same calls on the reference's plugins and on ours, each in a network of its own. With
 * TWINS_REFERENCE, another build of the reference is the judge.
 */
import { assertEquals } from "@std/assert";
import { CNI_PLUGINS } from "../harness/binary.ts";
import type { Twin } from "./case.ts";
import { CASES } from "./cases.ts";
import { CHAINED_CASES } from "./chained_cases.ts";
import { heldOutCases } from "./held_out.ts";
import { differences } from "./compare.ts";
import { OURS, REFERENCE, TwinNetwork } from "./network.ts";

/** How many cases are under way at once. */
const AT_ONCE = 3;

/** What Debian's release leaves to the kernel, and the newest sets. */
const OLDER = ["/keep_addr_on_down:", "/ndisc_notify:"];

const only = Deno.env.get("TWINS_ONLY");
const isDebians = REFERENCE === CNI_PLUGINS;
const cases = [...CASES, ...CHAINED_CASES, ...heldOutCases(isDebians)]
  .filter(({ id }) => only === undefined || id.includes(only))
  .filter(({ newer }) => !(isDebians && newer !== undefined));

Deno.test(`twins: ${cases.length} cases come to the same with the reference and with ours`, async (t) => {
  const outcomes = new Map<string, Promise<string[]>>();
  let next = 0;
  const work = async () => {
    while (next < cases.length) {
      const twin = cases[next++]!;
      const outcome = compared(twin);
      outcomes.set(twin.id, outcome);
      await outcome.catch(() => {});
    }
  };
  const workers = Promise.all(Array.from({ length: AT_ONCE }, work));
  await workers;
  for (const twin of cases) {
    await t.step(twin.id, async () => {
      const found = await outcomes.get(twin.id)!;
      const lines = twin.differs?.lines ?? [];
      const allowed = [...lines, ...isDebians ? OLDER : []].map((line) => new RegExp(line));
      assertEquals(found.filter((line) => !allowed.some((one) => one.test(line))), []);
    });
  }
});

async function compared(twin: Twin): Promise<string[]> {
  await using a = await TwinNetwork.create();
  await using b = await TwinNetwork.create();
  return differences(twin, await a.run(twin, () => REFERENCE), await b.run(twin, () => OURS));
}
