import type { PluginNode } from "../document.ts";
import type { Rule } from "../rule.ts";
import { quote, text } from "../tree.ts";
import { attached } from "./example.ts";

const device = (name: string) => attached({ name, type: "host-device", device: "eth1" });

export const rule: Rule = {
  code: "CNI307",
  name: "device-shared",
  severity: "warning",
  title: "two networks want one device for themselves",
  why:
    "host-device takes its device away from the host, macvlan in mode passthru has its master alone, and " +
    "the kernel puts either macvlan or ipvlan on a device. While a container of the one network lives, " +
    "none of the other can be attached.",
  bad: { "a.conf": device("a"), "b.conf": device("b") },
  good: { "a.conf": device("a") },
  on: "directory",
  *check(documents) {
    const first = new Map<string, { plugin: PluginNode; use: string }>();
    for (const plugin of documents.flatMap(({ plugins }) => plugins)) {
      const use = useOf(plugin);
      const node = plugin.field(plugin.type === "host-device" ? "device" : "master");
      const name = text(node);
      if (!use || !name) continue;
      const earlier = first.get(name);
      if (!earlier) first.set(name, { plugin, use });
      else if (plugin.document !== earlier.plugin.document && !areShared(use, earlier.use)) {
        yield {
          source: plugin.document.source,
          at: node,
          message: `${
            quote(name)
          } is for one network at a time, and ${earlier.use} of ${earlier.plugin.document.source.path} takes it too`,
          help: "use another device, or one network for both",
        };
      }
    }
  },
};

/** What becomes of the device; undefined where others may have it as well. */
function useOf(plugin: PluginNode): string | undefined {
  const { type } = plugin;
  if (type !== "macvlan") return type === "host-device" || type === "ipvlan" ? type : undefined;
  return text(plugin.field("mode")) === "passthru" ? "macvlan in mode passthru" : "macvlan";
}

function areShared(a: string, b: string): boolean {
  return a === b && (a === "macvlan" || a === "ipvlan");
}
