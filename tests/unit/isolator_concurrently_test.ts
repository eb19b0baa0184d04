import { assertEquals } from "@std/assert";
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
