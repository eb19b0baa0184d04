import { assertEquals } from "@std/assert";
import { NETWORK_FLAGS, settingsFrom } from "../../lib/cli/agent_flags.ts";
import { type Command, UsageError } from "../../lib/cli/command.ts";
import fc from "fast-check";
import { anyText, forAll } from "../harness/generated.ts";
import { parseCall } from "../../lib/cli/parse.ts";
import { SUMMARIES } from "../../lib/cli/summaries.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { REGISTRY } from "../../plugins/registry.ts";

const PROGRAM = { commands: TABLE, plugins: REGISTRY, found: () => undefined };

Deno.test("an empty part of the plugins' path is not the working directory", () => {
  const command: Command = {
    name: "test",
    flags: NETWORK_FLAGS,
    examples: [["", ""]],
    run: () => Promise.resolve(0),
  };
  const { cni } = settingsFrom(parseCall(command, [
    "--network_cni_config_dir=/etc/cni",
    "--network_cni_plugins_dir=/usr/lib/cni::/opt/cni:",
  ], PROGRAM));
  assertEquals(cni?.pluginsDir, "/usr/lib/cni:/opt/cni");
});

Deno.test("every command and group has its line in the help, and no other is there", async () => {
  const names = await Promise.all(
    TABLE.filter(({ short }) => !short).map(async (entry) => {
      const loaded = [await entry.load()].flat();
      return [entry.name, ...loaded.map(({ name }) => name)];
    }),
  );
  assertEquals([...new Set(names.flat())].sort(), Object.keys(SUMMARIES).sort());
});

Deno.test("operands and values stay what was typed, also where they look like numbers", () => {
  const command: Command = {
    name: "look",
    operands: "ID…",
    flags: [{ name: "name", value: "NAME", help: "a name" }],
    examples: [["", ""]],
    run: () => Promise.resolve(0),
  };
  const typed = ["7e12", "0x1f", "007", "1.0", "1e400", "Infinity", " 1", "0b1", "0"];
  const { operands, value } = parseCall(command, ["--name=0x1f", ...typed], PROGRAM);
  assertEquals(operands, typed);
  assertEquals(value("name"), "0x1f");
  assertEquals(parseCall(command, ["--", ...typed], PROGRAM).operands, typed);
});

Deno.test("any command line is a call, or wrong", () => {
  const command: Command = {
    name: "look",
    operands: "ID…",
    flags: [{ name: "name", value: "NAME", help: "", repeatable: true }, {
      name: "dry-run",
      short: "n",
      help: "",
    }],
    examples: [["", ""]],
    run: () => Promise.resolve(0),
  };
  const word = fc.oneof(
    fc.constantFrom(
      "true",
      "false",
      "7e12",
      "",
      "-",
      "a",
      "--",
      "---",
      "--_",
      "--_=1",
      "-_",
      "-n",
      "-nn",
      "-1",
    ),
    fc.constantFrom(
      "--dry-run",
      "--dry_run=true",
      "--name",
      "--name=",
      "--name=-1",
      "--no-name",
      "--__proto__",
    ),
    fc.constantFrom("--name.a=1", "--constructor=1", "--=", "-=", "--name=--"),
    anyText(3),
  );
  forAll(fc.array(word, { maxLength: 5 }), (args) => {
    let call;
    try {
      call = parseCall(command, args, PROGRAM);
    } catch (error) {
      if (error instanceof UsageError) return;
      throw error;
    }
    // Each word is an operand or belongs to a flag, as it was typed.
    const isFlag = (arg: string) => arg.startsWith("-") && arg !== "-";
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const plain = args.filter((arg, i) =>
      i > end || i < end && !isFlag(arg) && !(arg !== "" && arg !== "-" && args[i - 1] === "--name")
    );
    assertEquals(call.operands, plain);
    assertEquals(
      call.has("dry-run"),
      args.slice(0, end).some((arg) => ["-n", "--dry-run"].includes(arg)),
    );
  });
  assertEquals(parseCall(command, ["--dry-run", "true"], PROGRAM).operands, ["true"]);
});
