import type { PluginNode } from "../document.ts";
import type { WrittenRule } from "../rule.ts";
import { bridge } from "./example.ts";

const unnamed = (name: string, subnet: string) =>
  bridge({ name, bridge: undefined, isGateway: false, ipMasq: false }, { subnet });

export const rule: WrittenRule = {
  code: "CNI306",
  name: "default-bridge-shared",
  severity: "warning",
  title: "two networks share a bridge, since neither names one",
  why:
    'Without "bridge", the bridge plugin takes cni0: the containers of both networks are on one wire. ' +
    "Where both give it an address, that is CNI303.",
  bad: { "a.conf": unnamed("a", "10.1.0.0/16"), "b.conf": unnamed("b", "10.2.0.0/16") },
  good: { "a.conf": bridge({ name: "a", bridge: undefined }) },
  *ofDirectory(documents) {
    const [first, ...others] = documents.flatMap(({ plugins }) => plugins).filter(isUnnamed);
    for (const plugin of others) {
      if (plugin.document === first!.document || (isGateway(first!) && isGateway(plugin))) continue;
      yield {
        source: plugin.document.source,
        at: plugin.typeNode,
        message: `without "bridge", the network is on cni0, as that of ${
          first!.document.source.path
        } is`,
        help: 'add "bridge": "…", a name of its own',
      };
    }
  },
};

function isUnnamed(plugin: PluginNode): boolean {
  return plugin.type === "bridge" && plugin.role !== "partial" && !plugin.text("bridge");
}

function isGateway(plugin: PluginNode): boolean {
  return plugin.isTrue("isGateway") || plugin.isTrue("isDefaultGateway");
}
