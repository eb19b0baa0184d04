import { assertEquals } from "@std/assert";
import { compare, newlyMissed, ratiosOf } from "../../bench/gate.ts";

const BEFORE = `goal MISSED: ADD ÷ Go chain, 10,000: 1.20 (at most 0.9)
goal met: memory of serve: 119.76 MiB (at most 150 MiB)
goal met: in-process ÷ portmap: 0.01 (at most 0.15)
`;

Deno.test("goals without a unit are ratios", () => {
  assertEquals([...ratiosOf(BEFORE)], [
    ["ADD ÷ Go chain, 10,000", 1.2],
    ["in-process ÷ portmap", 0.01],
  ]);
});

Deno.test("a ratio that is worse by half closes the gate, whether its goal is met or not", () => {
  const now = (value: string) => `goal met: ADD ÷ Go chain, 10,000: ${value} (at most 3)\n`;
  assertEquals(compare(BEFORE, now("1.79")).isWell, true);
  assertEquals(compare(BEFORE, now("1.81")), {
    lines: ["WORSE: ADD ÷ Go chain, 10,000: 1.81, was 1.20"],
    isWell: false,
  });
  assertEquals(compare(BEFORE, "goal met: in-process ÷ portmap: 0.14 (at most 0.15)").isWell, true);
  assertEquals(compare(BEFORE, "goal met: new one: 9.00 (at most 1)").isWell, true);
});

Deno.test("a run that measured nothing does not pass", () => {
  assertEquals(compare(BEFORE, "killed").isWell, false);
});

Deno.test("a goal that was met and is missed now is told; one that was missed before is not", () => {
  const now = `goal MISSED: ADD ÷ Go chain, 10,000: 1.30 (at most 0.9)
goal MISSED: memory of serve: 151.00 MiB (at most 150 MiB)
goal met: in-process ÷ portmap: 0.02 (at most 0.15)
`;
  assertEquals(newlyMissed(BEFORE, now), [
    "goal MISSED: memory of serve: 151.00 MiB (at most 150 MiB)",
  ]);
});
