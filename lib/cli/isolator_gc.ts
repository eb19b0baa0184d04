import { findGarbage } from "../isolator/gc/mod.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { OperatorError } from "../base/error.ts";
import { collectNetworks } from "../isolator/gc/plugins.ts";
import { sweep } from "../isolator/gc/sweep.ts";
import { agentContainers } from "../mesos/agent_api.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Command, flag, JSON_FLAG } from "./command.ts";
import { isolatorOf } from "./isolator_of.ts";
import { plain } from "../base/printable.ts";
import { print, printError, printJson } from "./output.ts";

/** What kept plugins from collecting garbage, which is no garbage of ours. */
async function tellPlugins(isolator: Isolator): Promise<{ error?: string }[]> {
  try {
    return await collectNetworks(isolator);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return [{ error: error.message }];
  }
}

export const command: Command = {
  name: "isolator gc",
  flags: [
    ...NETWORK_FLAGS,
    flag("--apply", "remove it, instead of only saying what would be removed"),
    flag("--agent=URL", "an agent to ask which containers live, such as http://127.0.0.1:5051"),
    JSON_FLAG,
  ],
  examples: [[
    "mesos-cni isolator gc --network_cni_config_dir=/etc/mesos/cni --network_cni_plugins_dir=/usr/lib/cni",
    "changes nothing: one line for each find, with the reason",
  ]],
  notes:
    `A container lives if it has a process, or if the agent knows it. What can't be seen from here, in
other mounts or processes than the agent's say, is left alone, as are addresses and rules of other
programs' containers: no network namespace of the machine may have to do with what is removed.
Exit code 1 if something could not be looked at or removed.`,
  async run(call) {
    const isolator = isolatorOf(call);
    const url = call.value("agent");
    const apply = call.has("apply");
    const swept = await sweep(
      await findGarbage(isolator, url ? await agentContainers(url) : []),
      apply,
    );
    const told = apply ? await tellPlugins(isolator) : [];
    if (call.has("json")) printJson(swept);
    else {
      for (const { outcome, kind, what, why } of swept) {
        print(`${outcome.padEnd(8)} ${kind.padEnd(10)} ${plain(what)}\n         ${plain(why)}`);
      }
      if (swept.length === 0) print("nothing: everything belongs to a live container");
      else if (!apply) print("\nnothing was changed; to remove these: --apply");
    }
    const errors = [...swept, ...told].flatMap(({ error }) => error ?? []);
    for (const error of errors) printError("isolator gc", error);
    return errors.length > 0 ? 1 : 0;
  },
};
