/** The compiled program with a standard output or standard error that takes nothing. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";

async function shell(script: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", MESOS_CNI],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("output: a full standard output is said, without a stack", async () => {
  for (const command of ["version", "version --json", "--help", "lint --help", "man"]) {
    const { code, stderr } = await shell(`"$1" ${command} >/dev/full`);
    assertEquals(code, 1, command);
    assertStringIncludes(stderr, "standard output");
    assertEquals(/Uncaught|^ +at /m.test(stderr), false, stderr);
  }
  const plugin = `exec -a bridge "$1" >/dev/full`;
  const call = `echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION bash -c '${plugin}' bash "$1"`;
  const { code, stderr } = await shell(call);
  assertEquals(code, 1);
  assertEquals(stderr.split("\n").length, 2, stderr);
  assertStringIncludes(stderr, "can't write standard output");
});

Deno.test("output: a full or closed standard error changes no exit code", async () => {
  for (const to of ["/dev/full", "&-"]) {
    assertEquals((await shell(`"$1" nonsense 2>${to}`)).code, 2);
    assertEquals((await shell(`"$1" lint /nope 2>${to}`)).code > 0, true);
    assertEquals((await shell(`"$1" version 2>${to}`)).code, 0);
  }
});

Deno.test("output: a closed standard output, and a reader that has seen enough", async () => {
  for (const command of ["version", "man", "--help"]) {
    const { stderr } = await shell(`"$1" ${command} >&-`);
    assertEquals(/Uncaught|^ +at /m.test(stderr), false, stderr);
    assertEquals((await shell(`"$1" ${command} | true`)).stderr, "");
  }
});
