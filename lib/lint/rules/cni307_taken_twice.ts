import type { Node } from "jsonc-parser";
import { again } from "../again.ts";
import type { Document, PluginNode } from "../document.ts";
import type { FoundIn, WrittenRule } from "../rule.ts";
import { field, items, quote, text } from "../tree.ts";
import { attached } from "./example.ts";

const device = (name: string) => attached({ name, type: "host-device", device: "eth1" });

export const rule: WrittenRule = {
  code: "CNI307",
  name: "taken-twice",
  severity: "warning",
  title: "two networks want one device, or one port of the host, for themselves",
  why:
    "host-device takes its device away from the host, macvlan in mode passthru has its master alone, and " +
    "the kernel puts either macvlan or ipvlan on a device. While a container of the one network lives, " +
    "none of the other can be attached. Port mappings in a file are those of every container of its network: " +
    "of two for one port, the kernel takes the first rule, and the port mapper refuses the second container.",
  bad: { "a.conf": device("a"), "b.conf": device("b") },
  good: { "a.conf": device("a") },
  *ofDirectory(documents) {
    const users = documents.flatMap(({ plugins }) => plugins).filter(useOf);
    for (const [earlier, plugin] of again(users, (one) => text(deviceOf(one)))) {
      const [use, other] = [useOf(plugin), useOf(earlier)];
      const areTogether = use === other && (use === "macvlan" || use === "ipvlan");
      if (plugin.document === earlier.document || areTogether) continue;
      yield {
        source: plugin.document.source,
        at: deviceOf(plugin),
        message: `${
          quote(deviceOf(plugin)!.value)
        } is for one network at a time, and ${other} of ${earlier.document.source.path} takes it too`,
        help: "use another device, or one network for both",
      };
    }
    yield* portsTwice(documents);
  },
};

function deviceOf(plugin: PluginNode): Node | undefined {
  return plugin.field(plugin.type === "host-device" ? "device" : "master");
}

/** What becomes of the device; undefined where others may have it as well. */
function useOf(plugin: PluginNode): string | undefined {
  const { type } = plugin;
  if (type !== "macvlan") return type === "host-device" || type === "ipvlan" ? type : undefined;
  return plugin.text("mode") === "passthru" ? "macvlan in mode passthru" : "macvlan";
}

function* portsTwice(documents: readonly Document[]): Generator<FoundIn> {
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
      severity: "error",
      message: `the port ${port} of the host is mapped ${
        earlier.source === source ? "here" : `in ${earlier.source.path}`
      } already`,
      help: "map another port, or leave the mappings to the runtime",
    };
  }
}
