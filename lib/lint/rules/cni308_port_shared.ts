import { again } from "../again.ts";
import type { WrittenRule } from "../rule.ts";
import { field, items } from "../tree.ts";
import { bridgeFields, list } from "./example.ts";

const mapped = (hostPort: number) =>
  list(bridgeFields(), {
    type: "portmap",
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] },
  });

export const rule: WrittenRule = {
  code: "CNI308",
  name: "port-shared",
  title: "a port of the host is mapped twice by files of the directory",
  why:
    "A port of the host leads to one container. Port mappings in a file are those of every container of " +
    "its network; of two for one port, the kernel takes the first rule, and the port mapper refuses the " +
    "second container.",
  bad: { "a.conflist": mapped(8080), "b.conflist": mapped(8080).replace('"net"', '"web"') },
  good: { "a.conflist": mapped(8080) },
  *ofDirectory(documents) {
    const ports = documents.flatMap(({ plugins }) => plugins).flatMap((plugin) =>
      items(field(plugin.field("runtimeConfig"), "portMappings")).map((at) => ({
        source: plugin.document.source,
        at,
        port: ["hostPort", "protocol", "hostIP"].map((key) => field(at, key)?.value)
          .filter(Boolean).join("/"),
      }))
    );
    for (const [earlier, { source, at, port }] of again(ports, ({ port }) => port || undefined)) {
      yield {
        source,
        at: field(at, "hostPort") ?? at,
        message: `the port ${port} of the host is mapped ${
          earlier.source === source ? "here" : `in ${earlier.source.path}`
        } already`,
        help: "map another port, or leave the mappings to the runtime",
      };
    }
  },
};
