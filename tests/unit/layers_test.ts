import { assertEquals } from "@std/assert";
import { modulesOf, strays, violations } from "../../tools/check/layers.ts";

/** Modules with what they import, each below /repo. */
function found(imports: Record<string, string[]>): string[] {
  const url = (file: string) => `file:///repo/${file}`;
  const modules = Object.entries(imports).map(([file, targets]) => ({
    specifier: url(file),
    dependencies: targets.map((target) => ({ code: { specifier: url(target) } })),
  }));
  return violations(modulesOf({ modules }, "/repo"));
}

Deno.test("imports within a folder and of layers below are as they should be", () => {
  const imports = {
    "main.ts": ["lib/cli/main.ts", "plugins/registry.ts"],
    "plugins/registry.ts": ["lib/cni/config.ts"],
    "lib/cli/main.ts": ["lib/cli/table.ts", "lib/netns/list.ts"],
    "lib/cli/table.ts": ["lib/base/error.ts"],
    "lib/netns/list.ts": ["lib/base/error.ts"],
    "lib/cni/config.ts": [],
    "lib/base/error.ts": [],
  };
  assertEquals(found(imports), []);
});

Deno.test("an arrow up is found, and one to the side", () => {
  assertEquals(found({ "lib/base/error.ts": ["lib/kernel/libc.ts"], "lib/kernel/libc.ts": [] }), [
    "lib/base/error.ts imports lib/kernel/libc.ts, which is not below it",
  ]);
  assertEquals(found({ "lib/run/run.ts": ["lib/oci/hook.ts"], "lib/oci/hook.ts": [] }), [
    "lib/run/run.ts imports lib/oci/hook.ts, which is not below it",
  ]);
  assertEquals(found({ "lib/cni/find.ts": ["plugins/registry.ts"], "plugins/registry.ts": [] }), [
    "lib/cni/find.ts imports plugins/registry.ts, which is not below it",
  ]);
});

Deno.test("an import of types alone is an arrow too", () => {
  const modules = [
    {
      specifier: "file:///repo/lib/base/error.ts",
      dependencies: [{ type: { specifier: "file:///repo/lib/cli/command.ts" } }],
    },
    { specifier: "file:///repo/lib/cli/command.ts" },
  ];
  assertEquals(violations(modulesOf({ modules }, "/repo")).length, 1);
});

Deno.test("a circle within a folder is found, with its way", () => {
  const imports = {
    "lib/lint/rule.ts": ["lib/lint/document.ts"],
    "lib/lint/document.ts": ["lib/lint/source.ts"],
    "lib/lint/source.ts": ["lib/lint/rule.ts"],
  };
  assertEquals(found(imports), [
    "a circle: lib/lint/rule.ts -> lib/lint/document.ts -> lib/lint/source.ts -> lib/lint/rule.ts",
  ]);
});

Deno.test("a folder that has no layer is found", () => {
  assertEquals(found({ "lib/elsewhere/a.ts": [] }), [
    "lib/elsewhere/a.ts is in no folder of the list of layers",
  ]);
});

Deno.test("a file that nobody imports is found, and what is used outside of its home", () => {
  const files = ["lib/kernel/libc.ts", "lib/netns/list.ts", "lib/netns/look.ts"];
  const modules = new Map(files.map((file) => [file, []]));
  const texts = new Map([
    ["lib/kernel/libc.ts", 'Deno.dlopen("libc.so.6", {});'],
    ["lib/netns/list.ts", "// Deno.dlopen\nnew Deno.Command(x); Deno.UnsafePointer.of(y);"],
    ["lib/netns/look.ts", "entriesOf('/proc'); Deno.readLinkSync(`/proc/${pid}/ns/net`);"],
    ["lib/netns/old.ts", ""],
  ]);
  assertEquals(strays(modules, texts), [
    "lib/netns/list.ts uses the foreign function interface, whose home is lib/kernel/",
    "lib/netns/list.ts uses a child process, whose home is lib/program/",
    "lib/netns/look.ts uses the runtime to look below /proc or /sys, which it refuses, whose home is lib/kernel/proc.ts",
    "lib/netns/old.ts is imported by nobody",
  ]);
});
