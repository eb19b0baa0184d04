import { assertEquals } from "@std/assert";
import { NETWORK_FLAGS, settingsFrom } from "../../lib/cli/agent_flags.ts";
import type { Command } from "../../lib/cli/command.ts";
import { parseCall } from "../../lib/cli/parse.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { REGISTRY } from "../../plugins/registry.ts";

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
  ], { commands: TABLE, plugins: REGISTRY, found: () => undefined }));
  assertEquals(cni?.pluginsDir, "/usr/lib/cni:/opt/cni");
});
