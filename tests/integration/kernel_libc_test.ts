import { assertEquals, assertThrows } from "@std/assert";
import { kernelTest } from "../harness/kernel.ts";
import { check, cString, errno, openLibc, SystemError } from "../../lib/kernel/libc.ts";
import { OperatorError } from "../../lib/base/error.ts";

kernelTest("a failed call throws an error with errno's name, the call and the meaning", () => {
  const libc = openLibc({ rmdir: { parameters: ["buffer"], result: "i32" } });
  const error = assertThrows(
    () => check(libc().rmdir(cString("/nowhere/at/all")), "rmdir /nowhere/at/all"),
    SystemError,
  );
  assertEquals(error.message, "ENOENT: rmdir /nowhere/at/all: no such file or directory");
  assertEquals(error.errno, 2);
  assertEquals(errno(), 2);
});

Deno.test("a NUL in a string is refused, since C would read only what stands before it", () => {
  assertThrows(() => cString("eth0\0; rm"), OperatorError, "NUL");
});
