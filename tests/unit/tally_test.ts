import { assertEquals } from "@std/assert";
import { closingLine, errorsIn, readCpu, readStat, readTally } from "../../tools/test/tally.ts";

const tally = (passed: number, failed: number, skipped = 0) => ({ passed, failed, skipped });

Deno.test("the closing line of deno test is counted, in colours too", () => {
  assertEquals(readTally("x\nok | 12 passed (3 steps) | 0 failed (2s)\n", true), tally(12, 0));
  assertEquals(
    readTally("\x1b[32mok\x1b[0m | 1 passed | 0 failed | 2 ignored \x1b[38m(4m46s)\x1b[0m", true),
    tally(1, 0, 2),
  );
  assertEquals(
    readTally("FAILED | 3 passed | 2 failed (1 step) (2s)\nerror: Test failed", false),
    tally(3, 2),
  );
});

Deno.test("tests that broke off have failed, whatever they had counted", () => {
  assertEquals(readTally("error: module not found", false), tally(0, 1));
  assertEquals(readTally("", true), tally(0, 1));
  assertEquals(readTally("ok | 5 passed | 0 failed (1s)\nSegmentation fault", false), tally(5, 1));
});

Deno.test("what a shell and its children took is counted, in minutes too", () => {
  assertEquals(readCpu("0m0.25s 0m0.50s\n1m2.50s 0m10.00s\n"), 73.25);
  assertEquals(readCpu(""), 0);
});

Deno.test("of what the processors did, waiting for a disk is idle, and a guest's time counts once", () => {
  const stat = "cpu  10 20 30 400 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
  assertEquals(readStat(stat), { all: 486, idle: 405 });
});

Deno.test("skipped tests are said only if there are any", () => {
  assertEquals(closingLine(tally(3, 0)), "3 passed, 0 failed");
  assertEquals(closingLine(tally(3, 1, 2)), "3 passed, 1 failed, 2 skipped");
});

Deno.test("why tests failed is shown again without the rest", () => {
  const output = "a ... ok\n\x1b[1m ERRORS \x1b[0m\n\nb => ./b_test.ts:1:1\nerror: 1 !== 0\n\n" +
    " FAILURES \n\nb\n\nFAILED | 1 passed | 1 failed (1s)\n";
  assertEquals(errorsIn(output), ["b => ./b_test.ts:1:1", "error: 1 !== 0"]);
  assertEquals(errorsIn("x\n\nSegmentation fault\n"), ["x", "Segmentation fault"]);
});
