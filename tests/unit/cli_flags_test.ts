import { assertEquals } from "@std/assert";
import { NETWORK_FLAGS, settingsFrom } from "../../lib/cli/agent_flags.ts";
import type { Command } from "../../lib/cli/command.ts";
import { parseCall } from "../../lib/cli/parse.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { REGISTRY } from "../../plugins/registry.ts";

const PROGRAM = { commands: TABLE, plugins: REGISTRY, found: () => undefined };

Deno.test("an empty part of the plugins' path is not the working directory", () => {
  const command: Command = {
    name: "test",
    summary: "",
    flags: NETWORK_FLAGS,
    examples: [{ command: "", what: "" }],
    run: () => Promise.resolve(0),
  };
  const { cni } = settingsFrom(parseCall(command, [
    "--network_cni_config_dir=/etc/cni",
    "--network_cni_plugins_dir=/usr/lib/cni::/opt/cni:",
  ], PROGRAM));
  assertEquals(cni?.pluginsDir, "/usr/lib/cni:/opt/cni");
});

Deno.test("operands and values stay what was typed, also where they look like numbers", () => {
  const command: Command = {
    name: "look",
    summary: "look at it",
    operands: "ID…",
    flags: [{ name: "name", value: "NAME", help: "a name" }],
    examples: [{ command: "", what: "" }],
    run: () => Promise.resolve(0),
  };
  const typed = ["7e12", "0x1f", "007", "1.0", "1e400", "Infinity", " 1", "0b1", "0"];
  const { operands, value } = parseCall(command, ["--name=0x1f", ...typed], PROGRAM);
  assertEquals(operands, typed);
  assertEquals(value("name"), "0x1f");
  assertEquals(parseCall(command, ["--", ...typed], PROGRAM).operands, typed);
});
