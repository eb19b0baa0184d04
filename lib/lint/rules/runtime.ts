/** CNI5xx: what a runtime hands to a plugin besides its config. */
import { lookup } from "../../base/json.ts";
import { TAKERS, unknownCapabilities } from "../capabilities.ts";
import type { WrittenRule } from "../rule.ts";
import { renamed } from "../schema_check.ts";
import { makesNoAddress, schemaOf } from "../schemas/mod.ts";
import { entries, field, isTrue, keyNode, property, quote } from "../tree.ts";
import { bridgeFields, list } from "./example.ts";

export const RUNTIME: readonly WrittenRule[] = [
  {
    code: "CNI510",
    name: "capability-missing",
    severity: "warning",
    title: "a plugin is not given what it works on",
    ofAbsence: true,
    why:
      "A runtime hands port mappings to a plugin only if its config says that it wants them. Without " +
      '"capabilities": {"portMappings": true}, portmap runs and maps nothing.',
    bad: list(bridgeFields(), { type: "portmap" }),
    good: list(bridgeFields(), { type: "portmap", capabilities: { portMappings: true } }),
    *ofPlugin(plugin) {
      if (plugin.type === "sbr" && makesNoAddress(plugin.document.plugins[0]!)) {
        yield {
          at: plugin.typeNode,
          severity: "error",
          message: "sbr routes by the container's addresses, and the plugin before it assigns none",
          help: 'add "ipam" to the plugin that makes the interface',
        };
      }
      if (plugin.type !== "portmap") return;
      const capabilities = plugin.field("capabilities");
      const capability = property(capabilities, "portMappings");
      if (isTrue(capability) || !unknownCapabilities(plugin).next().done) return;
      if (field(plugin.field("runtimeConfig"), "portMappings")) return;
      yield {
        at: capability ?? plugin.typeNode,
        message: "portmap is never told of a port mapping",
        help: capability
          ? 'write "portMappings": true'
          : 'add "capabilities": { "portMappings": true }',
      };
    },
  },
  {
    code: "CNI511",
    name: "unknown-capability",
    severity: "warning",
    title: "a capability is misspelt, or of no use to the plugin",
    why:
      "A runtime compares the names of capabilities letter by letter, unlike the keys of a plugin's " +
      "config: what is asked for by another name is never given.",
    bad: list(bridgeFields(), { type: "portmap", capabilities: { portmappings: true } }),
    good: list(bridgeFields(), { type: "portmap", capabilities: { portMappings: true } }),
    fix: "safe",
    *ofPlugin(plugin) {
      for (const { key, right } of unknownCapabilities(plugin)) {
        yield renamed(plugin.field("capabilities")!, key, right, {
          name: "a runtime",
          complete: true,
        });
      }
      // flannel hands what it is given to its delegate.
      if (!schemaOf(plugin)?.complete || plugin.type === "flannel") return;
      for (const { key, name, value } of entries(plugin.field("capabilities"))) {
        const takers = lookup(TAKERS, name);
        if (!takers || takers.includes(plugin.type ?? "") || !isTrue(value)) continue;
        yield {
          at: key,
          message: `${plugin.type} makes nothing of the capability ${quote(name)}`,
          help: `give it to ${takers.join(" or ")}`,
        };
      }
    },
  },
  {
    code: "CNI512",
    name: "runtime-field",
    severity: "warning",
    title: "a key that the runtime sets",
    why:
      '"prevResult" and "runtimeConfig" are what a runtime adds to the config when it calls a plugin. ' +
      "On disk they are overwritten, or taken for the facts of a container that isn't there.",
    bad: list(bridgeFields(), {
      type: "portmap",
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
    }),
    good: list(bridgeFields(), { type: "portmap", capabilities: { portMappings: true } }),
    *ofPlugin(plugin) {
      if (plugin.role === "partial" || !schemaOf(plugin)?.complete) return;
      for (const name of ["prevResult", "runtimeConfig"]) {
        const at = keyNode(plugin.node, name);
        if (!at) continue;
        yield {
          at,
          message: `"${name}" is set by the runtime, not by a file`,
          help: name === "runtimeConfig"
            ? 'delete it; ask for it with "capabilities"'
            : "delete it; the runtime hands over the result of the plugin before",
        };
      }
    },
  },
];
