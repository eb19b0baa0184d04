import { assert, assertEquals } from "@std/assert";
import { CniError } from "../../lib/cni/error.ts";

Deno.test("an error is told in a bounded length, however much is wrong", () => {
  const all = new CniError(7, "a route\n".repeat(20_000), "its story\n".repeat(20_000));
  assert(JSON.stringify(all.toJSON("1.0.0")).length < 20_000);
  const short = { cniVersion: "1.0.0", code: 7, msg: "all of it" };
  assertEquals(new CniError(7, "all of it").toJSON("1.0.0"), short);
});
