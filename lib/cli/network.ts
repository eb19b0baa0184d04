/** `mesos-cni network …`: the networks of the config directory, one by one. */
import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, flag, JSON_FLAG, onlyOperand, UsageError } from "./command.ts";
import { isolatorOf } from "./isolator_of.ts";
import { networks, noConfigDir } from "./networks.ts";
import { bold, print, printJson } from "./output.ts";

const show: Command = {
  name: "network show",
  operands: "NAME",
  complete: "network",
  flags: [JSON_FLAG, ...NETWORK_FLAGS],
  examples: [[
    "mesos-cni network show cni-test",
    "its file, plugins, subnet, containers and free addresses",
  ]],
  async run(call) {
    const { networkText, networkView } = await import("../netns/network.ts");
    const isolator = isolatorOf(call);
    const view = networkView(isolator, nameOf(call, isolator));
    if (call.has("json")) printJson(view);
    else print(networkText(view, bold));
  },
};

const remove: Command = {
  name: "network rm",
  operands: "NAME",
  complete: "network",
  flags: [
    flag("--dry-run", "say what would be removed, and remove nothing"),
    JSON_FLAG,
    ...NETWORK_FLAGS,
  ],
  examples: [[
    "mesos-cni network rm cni-test --dry-run",
    "what its containers have left behind for the next ones",
  ]],
  notes: `Refused while a container is on the network, or an interface on its bridge. What
containers of another network use stays. The config is yours: remove its file first, if no container is to join any more.`,
  async run(call) {
    const { leftovers } = await import("../netns/network_removal.ts");
    const isolator = isolatorOf(call);
    const found = await leftovers(isolator, nameOf(call, isolator));
    const done: { what: string; outcome: "removed" | "found" | "kept"; usedBy?: string }[] = [];
    for (const { what, usedBy, remove } of found) {
      if (usedBy !== undefined) done.push({ what, outcome: "kept", usedBy });
      else if (call.has("dry-run")) done.push({ what, outcome: "found" });
      else if (await remove()) done.push({ what, outcome: "removed" });
    }
    if (call.has("json")) {
      printJson(done);
    } else {
      for (const { what, outcome, usedBy } of done) {
        print(
          `${outcome.padEnd(8)} ${what}${usedBy ? `: containers of ${usedBy} use it too` : ""}`,
        );
      }
      if (done.length === 0) print("nothing: it has left nothing");
    }
  },
};

function nameOf(call: Call, isolator: Isolator): string {
  const name = onlyOperand(call, "network");
  if (name === undefined) throw new UsageError("the network's name is missing");
  const names = isolator.networks.names();
  if (names.includes(name) || isolator.networks.skipped.length > 0) return name;
  const directory = isolator.settings.cni?.configDir;
  if (directory === undefined) throw noConfigDir();
  const guess = nearest(name, names);
  throw new OperatorError(
    "unknown_network",
    `there is no network ${JSON.stringify(name)} in ${directory}` +
      (guess ? `: did you mean ${guess}?` : `; known: ${names.join(", ") || "none"}`),
  );
}

export const commands: readonly Command[] = [
  { ...networks, name: "network list" },
  show,
  remove,
];
