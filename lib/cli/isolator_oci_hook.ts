import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Command, UsageError } from "./command.ts";
import { isolatorOf } from "./isolator_of.ts";
import { readJson } from "./stdin.ts";

export const command: Command = {
  name: "isolator oci-hook",
  operands: "createRuntime|poststop",
  flags: NETWORK_FLAGS,
  examples: [[
    "mesos-cni isolator oci-hook poststop < state.json",
    "as the runtime calls it; docs/isolator-service.md has a config.json",
  ]],
  notes:
    `A container asks for networks by the annotation org.apache.mesos.network_infos, a list such as
[{"name": "cni-test"}]; without it, the hooks do nothing. The container needs network, mount and
UTS namespaces of its own.`,
  async run(call) {
    const { HOOKS } = await import("../oci/hook.ts");
    const [name = "", ...others] = call.operands;
    const hook = Object.hasOwn(HOOKS, name) ? HOOKS[name] : undefined;
    if (!hook || others.length > 0) {
      throw new UsageError(`one of ${Object.keys(HOOKS).join(", ")} is needed`);
    }
    const state = await readJson();
    if (state === undefined) throw new UsageError("the state is missing on standard input");
    await hook(isolatorOf(call), state);
  },
};
