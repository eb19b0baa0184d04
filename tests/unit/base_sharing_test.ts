/** Looks that several ask for at a time. */
import { assertEquals, assertRejects } from "@std/assert";
import { sharing } from "../../lib/base/sharing.ts";

Deno.test("who asks while a look is under way shares the next one, which begins after the question", async () => {
  const begun: (() => void)[] = [];
  const look = sharing(() => {
    const number = begun.length + 1;
    return new Promise<number>((resolve) => begun.push(() => resolve(number)));
  });
  const turn = () => new Promise((resolve) => setTimeout(resolve));

  const first = look();
  await turn();
  const [second, third] = [look(), look()];
  await turn();
  assertEquals(begun.length, 1, "one look at a time");
  begun[0]!();
  assertEquals(await first, 1);
  await turn();
  assertEquals(begun.length, 2);
  begun[1]!();
  assertEquals(await Promise.all([second, third]), [2, 2]);
  const fourth = look();
  await turn();
  begun[2]!();
  assertEquals(await fourth, 3, "what was seen once is no answer later");
});

Deno.test("a look that fails is told to those who asked for it alone", async () => {
  let count = 0;
  const look = sharing(() =>
    count++ === 0 ? Promise.reject(new Error("refused")) : Promise.resolve(count)
  );
  const first = assertRejects(look, Error, "refused");
  await first;
  assertEquals(await look(), 2);
});
