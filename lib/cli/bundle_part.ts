/** The parts of a bundle that concern every container, made by one process, as files by their path. */
import { messageOf } from "../base/error.ts";
import { writeErrorOutput } from "../base/streams.ts";
import { type Command, UsageError } from "./command.ts";
import { agentHere } from "./netns_diagnose.ts";
import { agentOf } from "./netns_target.ts";
import { LAYOUT_FLAGS } from "./layout_flags.ts";
import { printJson } from "./output.ts";

/** From then on, in ms since the start of this program, no answer is waited for. */
const LAST_ANSWER_MS = 20_000;

export const command: Command = {
  name: "bundle-part",
  operands: "diagnosis|inspect [ID…]",
  flags: LAYOUT_FLAGS,
  examples: [["mesos-cni bundle-part inspect web-1", "its files as JSON"]],
  async run(call) {
    const [part, ...ids] = call.operands;
    if (part !== "diagnosis" && part !== "inspect") throw new UsageError("diagnosis or inspect?");
    using agent = await agentOf(call);
    if (part === "inspect") {
      const { inspect } = await import("../netns/inspect.ts");
      const all = agent.containers.filter(({ id }) => ids.includes(id));
      const files: [string, unknown][] = [];
      for (const { id, netns } of all) {
        const seen = await inspect(agent, { name: id, netns, id })
          .catch((error) => ({ error: messageOf(error) }));
        files.push([`containers/${id}.json`, seen]);
      }
      printJson(Object.fromEntries(files));
      return;
    }
    const { diagnoseAll, unaskedText } = await import("../diagnose/all.ts");
    const { agentText } = await import("../diagnose/render/text.ts");
    const { agentJson } = await import("../diagnose/render/finding.ts");
    const { reportHtml } = await import("../diagnose/render/html.ts");
    const { topologyOf } = await import("../netns/topology.ts");
    // First: those that are not waited for any longer go on, and would take turns with it.
    const topology = await topologyOf(agent);
    const found = await diagnoseAll(agent, { agent: agentHere() }, undefined, {
      containers: agent.containers.filter(({ id }) => ids.includes(id)),
      patience: LAST_ANSWER_MS - performance.now(),
    });
    const unasked = unaskedText(found.rows);
    if (unasked) writeErrorOutput(unasked);
    printJson({
      "diagnosis.txt": agentText(found, (text) => text),
      "diagnosis.json": agentJson(found),
      "diagnosis.html": reportHtml(found, topology),
    });
  },
};
