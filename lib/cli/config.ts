/** The settings in force, and where each comes from. */
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Command, JSON_FLAG } from "./command.ts";
import { FOUND_FLAGS, SETTINGS_FILE } from "./found_values.ts";
import { variable } from "../base/environment.ts";
import { tellKind } from "../firewall/kind.ts";
import { print, printJson } from "./output.ts";
import { columns } from "../netns/table.ts";

export const command: Command = {
  name: "config",
  flags: [JSON_FLAG, ...NETWORK_FLAGS],
  examples: [["mesos-cni config", "which directories the other commands use"]],
  notes:
    `Each is looked for in the call's flags, in the environment (MESOS_RUNTIME_DIR, …, as the agent
reads it), in ${SETTINGS_FILE}, in the flags of an agent that runs here or that systemd would start; else it has
its default.`,
  async run(call) {
    const settings = FOUND_FLAGS.map((name): Setting => {
      const given = call.given(name);
      if (given !== undefined) return { name, value: given, from: `--${name}` };
      const found = call.found(name);
      if (found) return { name, value: found.value, from: found.from };
      // Some are in the file of settings alone.
      const flag = NETWORK_FLAGS.find((flag) => flag.name === name);
      const unset = flag && !flag.value ? "false" : null;
      return { name, value: flag?.default ?? unset, from: "default" };
    });
    const firewall = await tellKind(variable("PATH") ?? "");
    if ("kind" in firewall) {
      settings.push({ name: "firewall", value: firewall.kind, from: firewall.by });
    }
    if (call.has("json")) {
      printJson(settings);
    } else {
      print(columns(settings.map(({ name, value, from }) => [name, value ?? "-", from])));
    }
  },
};

interface Setting {
  name: string;
  value: string | null;
  from: string;
}
