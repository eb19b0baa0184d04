/** Rules by which an operator chooses who may come: whom they drop of those that a diagnosis made up. */
import { assertEquals } from "@std/assert";
import { byChoice } from "../../lib/diagnose/choice.ts";
import { elementsOf, membersOf } from "../../lib/diagnose/observe/sets.ts";
import type { Question } from "../../lib/diagnose/questions/question.ts";
import { explain } from "../../lib/diagnose/readers/table.ts";
import { met, route, World } from "../harness/world.ts";

/** What becomes of a rule that dropped a client: `hint` and what is said of it; undefined where it stays a problem. */
async function said(text: string, invented: Question["invented"]) {
  const world = new World();
  for (const one of ["198.18.0.0", "198.18.0.7"]) world.host.chosen[one] = route("default", 4);
  for (const one of ["10.1.0.0", "10.1.0.9"]) world.host.chosen[one] = route("10.1.0.0/16", 2);
  world.named.set("198.18.0.0/24", [{ set: "lan", remove: [] }]);
  world.named.set("10.1.0.9", [{ set: "own", remove: [] }]);
  const e = world.evidence(0, { rules: [met("drop")] }, { topic: "port", invented });
  const { ref, ...known } = await e.ruleOf(e.rules[0]!);
  const ruled = { ...e, ruleOf: () => Promise.resolve({ ...known, ref: { ...ref, text } }) };
  const causes = await byChoice(await explain(ruled), ruled);
  return causes?.map(({ level, fix, value }) => [level, fix, value?.replace(/:.*/, "")]).flat();
}

const hint = (value: string) => ["hint", undefined, value];

Deno.test("a rule that says who may come is a hint for a client that was made up, and is not taken away", async () => {
  for (
    const [text, who] of [
      ["-A FORWARD -s 198.51.100.0/24 -j DROP", "198.51.100.0/24"],
      ["-A FORWARD -m set --match-set bogons src -j DROP", "bogons"],
      ["ip saddr { 192.0.2.0/24, 198.51.100.0/24 } drop", "{ 192.0.2.0/24, 198.51.100.0/24 }"],
      ["ip saddr @bogons drop", "@bogons"],
    ] as const
  ) {
    assertEquals(await said(text, "nobody"), hint(`it is for who comes from ${who}`));
    // A neighbour is somebody, and so is who has asked before.
    assertEquals(await said(text, "neighbour"), undefined);
    assertEquals(await said(text, undefined), undefined);
  }
});

Deno.test("a rule that names all who may come lets somebody in, or it is a problem", async () => {
  const lets = async (text: string) => [
    await said(text, "nobody") !== undefined,
    await said(text, "neighbour") !== undefined,
  ];
  for (
    const text of [
      "-A FORWARD ! -s 198.18.0.0/24 -i wan0 -j DROP",
      "-A FORWARD -m iprange ! --src-range 198.18.0.7-198.18.0.9 -j DROP",
      "-A FORWARD -m set ! --match-set lan src -j DROP",
      "-A FORWARD -m geoip ! --source-country DE,AT -j DROP",
      "ip saddr != { 10.1.0.0/16, 198.18.0.0/24 } tcp dport 80 drop",
      "ip saddr != @lan drop",
    ]
  ) assertEquals(await lets(text), [true, true], text);
  for (
    const text of [
      "-A FORWARD ! -s 10.1.0.0/16 -i wan0 -j DROP",
      "-A FORWARD -m set ! --match-set own src -j DROP",
      "-A FORWARD -m set ! --match-set empty src -j DROP",
      "ip saddr != @empty drop",
      // No condition on who comes, or one of another kind.
      "-A FORWARD -i wan0 -p tcp --dport 80 -j DROP",
      "-A FORWARD -d 198.51.100.0/24 -j DROP",
      "-A FORWARD -m set --match-set own dst -j DROP",
      "fib saddr . iif oif missing drop",
    ]
  ) assertEquals(await lets(text), [false, false], text);
});

Deno.test("what sets name is read with its networks", () => {
  assertEquals(
    membersOf("add lan 198.18.0.0/24\nadd ban 203.0.113.9 timeout 300\nadd p 10.0.0.1,tcp:80")
      .map(([one, { set }]) => [one, set]),
    [["198.18.0.0/24", "lan"], ["203.0.113.9", "ban"]],
  );
  const elem = [{ prefix: { addr: "198.18.0.0", len: 24 } }, "203.0.113.9"];
  const set = { family: "inet", table: "fw", name: "lan", elem };
  assertEquals(elementsOf(JSON.stringify({ nftables: [{ set }] })).map(([one]) => one), [
    "198.18.0.0/24",
    "203.0.113.9",
  ]);
});
