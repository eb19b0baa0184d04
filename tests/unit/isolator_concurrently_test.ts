import { assertEquals, assertThrows } from "@std/assert";
import { tryAgain } from "../../lib/base/try_again.ts";
import { concurrently } from "../../lib/isolator/concurrently.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("concurrently: never more than so many at a time, results in order", async () => {
  let now = 0;
  let most = 0;
  const items = Array.from({ length: 20 }, (_, i) => i);
  const results = await concurrently(3, items, async (item) => {
    most = Math.max(most, ++now);
    await pause((item * 7) % 5);
    now--;
    return item * 2;
  });
  assertEquals(results, items.map((item) => item * 2));
  assertEquals(most, 3);
  assertEquals(await concurrently(3, [], () => Promise.resolve(1)), []);
});

Deno.test("a reason that stays is told after a few attempts, and any other at once", () => {
  let attempts = 0;
  const failing = (message: string, until = Infinity) => () => {
    if (++attempts < until) throw new Error(message);
    return attempts;
  };
  const isPassing = (error: unknown) => (error as Error).message === "ENOENT";
  assertThrows(() => tryAgain(10, isPassing, failing("ENOENT")), Error, "ENOENT");
  assertEquals(attempts, 10);
  attempts = 0;
  assertThrows(() => tryAgain(10, isPassing, failing("EPERM")), Error, "EPERM");
  assertEquals(attempts, 1);
  attempts = 0;
  assertEquals(tryAgain(10, isPassing, failing("ENOENT", 3)), 3);
});
