import { type Command, flag, JSON_FLAG } from "./command.ts";
import { agentOf, LAYOUT_FLAGS } from "./netns_target.ts";
import { print, printJson } from "./output.ts";

const FORMATS = ["tree", "mermaid", "dot"] as const;

export const topology: Command = {
  name: "netns topology",
  flags: [
    JSON_FLAG,
    flag("--format=FORMAT", FORMATS.join(", "), { default: "tree", complete: FORMATS }),
    ...LAYOUT_FLAGS,
  ],
  examples: [
    ["mesos-cni netns topology", "a tree in the terminal"],
    ["mesos-cni netns topology --format=dot | dot -Tsvg >agent.svg", "a drawing, by Graphviz"],
  ],
  async run(call) {
    const { topologyOf } = await import("../netns/topology.ts");
    using agent = await agentOf(call);
    const topology = await topologyOf(agent);
    if (call.has("json")) {
      printJson(topology);
      return;
    }
    const { dotText, mermaidText, treeText } = await import("../netns/topology_text.ts");
    const texts = { tree: treeText, mermaid: mermaidText, dot: dotText };
    print(texts[call.value("format") as keyof typeof texts](topology));
  },
};
