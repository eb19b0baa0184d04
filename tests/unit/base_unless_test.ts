/** Looks whose failure is an answer. */
import { assertEquals, assertThrows } from "@std/assert";
import { errno, isA, unless, unlessRefused } from "../../lib/base/unless.ts";
import { SystemError } from "../../lib/kernel/libc.ts";

Deno.test("an error that was expected is an answer, and any other one is thrown on", () => {
  const missing = () => Deno.statSync("/nowhere");
  const refused = () => {
    throw new SystemError(1, "look");
  };
  const defect = () => {
    throw new TypeError("not a function");
  };
  assertEquals(unless(errno("ENOENT"), () => 1), 1);
  assertEquals(unless(errno("EPERM", "ENOENT"), missing), undefined);
  assertEquals(unless(errno("EPERM"), refused), undefined);
  assertEquals(unless(isA(Deno.errors.NotFound), missing), undefined);
  assertEquals(unlessRefused(refused), undefined);
  assertThrows(() => unless(errno("EPERM"), missing), Deno.errors.NotFound);
  assertThrows(() => unless(errno("ENOENT"), refused), SystemError);
  assertThrows(() => unless(isA(SystemError), missing), Deno.errors.NotFound);
  for (const look of [missing, defect]) assertThrows(() => unlessRefused(look), Error);
  assertThrows(() => unless(errno("ENOENT"), defect), TypeError);
});
