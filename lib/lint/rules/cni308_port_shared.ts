import type { Node } from "jsonc-parser";
import type { PluginNode } from "../document.ts";
import type { Rule } from "../rule.ts";
import { field, items } from "../tree.ts";
import { bridgeFields, list } from "./example.ts";

const mapped = (hostPort: number) =>
  list(bridgeFields(), {
    type: "portmap",
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] },
  });

export const rule: Rule = {
  code: "CNI308",
  name: "port-shared",
  severity: "error",
  title: "a port of the host is mapped twice by files of the directory",
  why:
    "A port of the host leads to one container. Port mappings in a file are those of every container of " +
    "its network; of two for one port, the kernel takes the first rule, and the port mapper refuses the " +
    "second container.",
  bad: { "a.conflist": mapped(8080), "b.conflist": mapped(8080).replace('"net"', '"web"') },
  good: { "a.conflist": mapped(8080) },
  on: "directory",
  *check(documents) {
    const first = new Map<string, PluginNode>();
    for (const plugin of documents.flatMap(({ plugins }) => plugins)) {
      for (const [port, at] of portsOf(plugin)) {
        const earlier = first.get(port);
        first.set(port, earlier ?? plugin);
        if (!earlier) continue;
        yield {
          source: plugin.document.source,
          at,
          message: `the port ${port} of the host is mapped ${
            earlier.document === plugin.document ? "here" : `in ${earlier.document.source.path}`
          } already`,
          help: "map another port, or leave the mappings to the runtime",
        };
      }
    }
  },
};

function* portsOf(plugin: PluginNode): Generator<[string, Node]> {
  for (const mapping of items(field(plugin.field("runtimeConfig"), "portMappings"))) {
    const port = field(mapping, "hostPort");
    if (port?.type !== "number") continue;
    const protocol = field(mapping, "protocol")?.value ?? "tcp";
    yield [[port.value, protocol, field(mapping, "hostIP")?.value].filter(Boolean).join("/"), port];
  }
}
