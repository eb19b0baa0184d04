/** From a process to its container. */
import { readContainers } from "../containers/inventory.ts";
import { findInode } from "../kernel/proc.ts";
import { processName } from "../containers/processes.ts";
import { addressTexts } from "../containers/network_address.ts";
import { OperatorError } from "../base/error.ts";
import { plain } from "../base/printable.ts";
import { type Command, JSON_FLAG, onlyOperand, UsageError } from "./command.ts";
import { LAYOUT_FLAGS, layoutOf } from "./netns_target.ts";
import { print, printJson } from "./output.ts";

export const command: Command = {
  name: "identify",
  operands: "PID",
  flags: [JSON_FLAG, ...LAYOUT_FLAGS],
  examples: [[
    "mesos-cni identify 4711",
    "the containers whose network the process is in, with their addresses",
  ]],
  notes: "Exit code 1 if the process is in no container's network.",
  run(call) {
    const text = onlyOperand(call, "PID");
    if (text === undefined) throw new UsageError("the process is missing: identify PID");
    if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError(`${text} is no process id`);
    const layout = layoutOf(call);
    const inode = findInode(`/proc/${text}/ns/net`);
    if (inode === undefined) {
      throw new OperatorError(
        "no_process",
        `there is no process ${text} (any more), or its namespaces may not be looked at`,
      );
    }
    const isAgents = inode === findInode("/proc/self/ns/net");
    const containers = readContainers(layout)
      .filter(({ netns, mode }) => mode !== "host" && findInode(netns) === inode)
      .map(({ id, mode, netns, attachments }) => ({
        id,
        mode,
        netns,
        networks: attachments.map((one) => ({
          network: one.network,
          ifName: one.ifName,
          addresses: addressTexts(one),
        })),
      }));
    const name = processName(Number(text));
    if (call.has("json")) {
      printJson({ pid: Number(text), name, agentsNetwork: isAgents, containers });
    } else {
      const process = `process ${text}${name ? ` (${plain(name)})` : ""}`;
      for (const { id, mode, networks } of containers) {
        const joined = networks.map(({ network, ifName, addresses }) =>
          `${ifName} on ${plain(network)}${addresses.length > 0 ? ` ${addresses.join(" ")}` : ""}`
        );
        const how = mode === "parent" ? "shares its parent's network" : joined.join(", ");
        print(`${id}${how ? `  ${how}` : ""}`);
      }
      if (containers.length === 0) {
        print(
          isAgents
            ? `${process} uses the agent's own network`
            : `${process} is in a network of its own that is no container's under ${layout.containers}; ` +
              `to look into it: mesos-cni inspect --pid=${text}`,
        );
      }
    }
    return containers.length > 0 ? 0 : 1;
  },
};
