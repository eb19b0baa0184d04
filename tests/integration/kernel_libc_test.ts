import { assertEquals, assertThrows } from "@std/assert";
import { kernelTest } from "../harness/kernel.ts";
import { check, cString, openLibc, settled, SystemError } from "../../lib/kernel/libc.ts";
import { inNamespaces } from "../../lib/kernel/namespaces.ts";
import { readyToStart } from "../../lib/kernel/start_child.ts";
import { FileLock } from "../../lib/kernel/lock.ts";
import { OperatorError } from "../../lib/base/error.ts";

kernelTest("a failed call throws an error with errno's name, the call and the meaning", () => {
  const libc = openLibc({ rmdir: { parameters: ["buffer"], result: "i32" } });
  const error = assertThrows(
    () => check(libc().rmdir(cString("/nowhere/at/all")), "rmdir /nowhere/at/all"),
    SystemError,
  );
  assertEquals(error.message, "ENOENT: rmdir /nowhere/at/all: no such file or directory");
  assertEquals(error.errno, 2);
});

kernelTest("errno is that of the call, whatever the runtime has done since", () => {
  const libc = openLibc({ rmdir: { parameters: ["buffer"], result: "i32" } });
  const result = libc().rmdir(cString("/nowhere/at/all"));
  assertThrows(() => Deno.statSync("/etc/passwd/x"), Deno.errors.NotADirectory); // ENOTDIR
  assertThrows(() => check(result, "rmdir /nowhere/at/all"), SystemError, "ENOENT");
});

kernelTest("a failure is the result, of either width and in another thread too", async () => {
  const EBADF = 9;
  const libc = openLibc({
    flock: { parameters: ["i32", "i32"], result: "i32" },
    read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    fsopen: { name: "syscall", parameters: ["i64", "i32"], result: "i64" },
    getppid: { parameters: [], result: "i32" },
  });
  const elsewhere = openLibc({
    read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  });
  const buffer = new Uint8Array(8);
  assertEquals(libc().flock(-1, 1), -EBADF);
  assertEquals(libc().read(-1, buffer, 8n), BigInt(-EBADF));
  assertEquals(libc().fsopen(100_000n, 0), -38n); // ENOSYS
  assertEquals(libc().getppid(), Deno.ppid);
  assertEquals(await elsewhere().read(-1, buffer, 8n), BigInt(-EBADF));
});

Deno.test("a call that a signal interrupts is repeated, except for close", async () => {
  const EINTR = 4, ENOENT = 2;
  for (const onOtherThread of [false, true]) {
    for (const [name, calls] of [["read", 3], ["close", 1]] as const) {
      let called = 0;
      const result = () => ++called < 3 ? -EINTR : -ENOENT;
      const call = settled(name, () => onOtherThread ? Promise.resolve(result()) : result());
      assertEquals(await call(), name === "close" ? -EINTR : -ENOENT);
      assertEquals(called, calls);
    }
  }
});

kernelTest("what fails halfway leaves no descriptor open", () => {
  const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = descriptors();
  for (const path of ["/nowhere/at/all", "/etc/passwd"]) {
    const paths = { net: "/proc/self/ns/net", mnt: path };
    assertThrows(() => inNamespaces(paths, () => {}), SystemError);
    assertThrows(() => FileLock.tryTake(`${path}/lock`), SystemError);
  }
  assertEquals(descriptors(), before);
});

Deno.test("a NUL in a string is refused, since C would read only what stands before it", () => {
  assertThrows(() => cString("eth0\0; rm"), OperatorError, "NUL");
});

kernelTest(
  "a child executes at once, in a session of its own, with the environment it was given",
  () => {
    const libc = openLibc({ waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" } });
    const file = Deno.makeTempFileSync();
    try {
      const script = `{ echo $$; cut -d' ' -f6 /proc/$$/stat; env; } >${file}; exit 7`;
      const start = readyToStart(["called", "-c", script], { NAME: "value" });
      const codeOf = (child: number) => {
        const status = new Int32Array(1);
        check(libc().waitpid(child, new Uint8Array(status.buffer), 0), "wait for the child");
        return status[0]! >> 8;
      };
      const child = start("/bin/sh");
      assertEquals(codeOf(child), 7);
      const [pid, session, ...variables] = Deno.readTextFileSync(file).trim().split("\n");
      assertEquals([pid, session], [`${child}`, `${child}`]);
      assertEquals(variables.filter((line) => /^(NAME|HOME)=/.test(line)), ["NAME=value"]);
      assertEquals(codeOf(start("/nowhere/at/all")), 127);
    } finally {
      Deno.removeSync(file);
    }
  },
);
