/** CNI6xx: the port mapper, mesos-cni-port-mapper. */
import type { Node } from "jsonc-parser";
import { isSpecVersion, SPEC_VERSIONS } from "../../cni/version.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import type { Found, Rule } from "../rule.ts";
import { entries, isObject, items, property, propertyNode, quote, text } from "../tree.ts";
import { bridgeFields, list, portMapper } from "./example.ts";

export const PORT_MAPPERS: readonly Rule[] = [
  {
    code: "CNI606",
    name: "own-bridge-not-excluded",
    severity: "warning",
    title: '"excludeDevices" lacks the bridge of the delegate',
    ofAbsence: true,
    why:
      "Without it, traffic from one container to another's address and host port is redirected as if it " +
      "came from outside, so that containers of the network reach each other at the wrong place. With " +
      '"snat" they are to reach the ports of the host, and nothing is said.',
    bad: portMapper({ excludeDevices: [] }),
    good: portMapper({ excludeDevices: ["cni0"] }),
    *ofPlugin(plugin) {
      if (plugin.type !== PORT_MAPPER || plugin.isTrue("snat")) return;
      const delegate = plugin.field("delegate");
      if (text(property(delegate, "type")) !== "bridge") return;
      const bridge = text(property(delegate, "bridge")) || "cni0";
      const devices = plugin.field("excludeDevices");
      if (devices && devices.type !== "array") return;
      if (items(devices).some((device) => isCovered(bridge, text(device)))) return;
      yield {
        at: devices ?? plugin.typeNode,
        message: `"excludeDevices" lacks the delegate's own bridge, ${quote(bridge)}`,
        help: `add ${quote(bridge)} to "excludeDevices"`,
      };
    },
  },
  {
    code: "CNI607",
    name: "delegate-missing",
    severity: "error",
    title: "the port mapper has nobody to make the interface",
    ofAbsence: true,
    why:
      'The port mapper adds port mappings to another plugin\'s interface: that of its "delegate", or, in ' +
      "a list, that of the plugins before it.",
    bad: portMapper({ delegate: undefined }),
    good: list(bridgeFields(), { type: "mesos-cni-port-mapper", chain: "MESOS-NET" }),
    *ofPlugin(plugin) {
      if (plugin.type !== PORT_MAPPER || plugin.isChained) return;
      const delegate = plugin.field("delegate");
      if (delegate) return; // a wrong type is another rule's
      yield {
        at: plugin.typeNode,
        message: 'the port mapper needs a "delegate"',
        help: 'add "delegate": { "type": "bridge", … }, the plugin that makes the interface',
      };
    },
  },
  {
    code: "CNI608",
    name: "nested-port-mapper",
    severity: "error",
    title: "the delegate of a port mapper is a port mapper",
    why: "Both would answer for the same port mappings.",
    bad: portMapper({}, {
      type: "mesos-cni-port-mapper",
      chain: "OTHER",
      delegate: bridgeFields(),
    }),
    good: portMapper(),
    *ofPlugin(plugin) {
      if (plugin.type !== PORT_MAPPER || plugin.outer?.type !== PORT_MAPPER) return;
      yield {
        at: plugin.typeNode,
        message: "the delegate of a port mapper can't be another one",
        help: "name the plugin that makes the interface",
      };
    },
  },
  {
    code: "CNI609",
    name: "delegate-overwritten",
    severity: "warning",
    title: "a field of the delegate is overwritten",
    why:
      'The port mapper puts its own "name" and "args" into the delegate\'s config: what stands there ' +
      "is lost.",
    bad: portMapper({}, { name: "inner" }),
    good: portMapper(),
    *ofPlugin(plugin) {
      if (plugin.role !== "delegate" || !isObject(plugin.node)) return;
      const own = plugin.outer!.node;
      for (const key of ["name", "args"]) {
        const found = propertyNode(plugin.node, key);
        if (!found || found.children![1]!.value === (property(own, key)?.value ?? null)) continue;
        yield lost(found.children![0]!, key);
      }
    },
  },
  {
    code: "CNI610",
    name: "delegate-version",
    severity: "error",
    title: 'the delegate\'s "cniVersion" is no version of the specification',
    why:
      "A delegate gets the network's version unless it has one of its own, which must be a released one " +
      "too.",
    bad: portMapper({}, { cniVersion: "0.2" }),
    good: portMapper({}, { cniVersion: "0.2.0" }),
    *ofPlugin(plugin) {
      if (plugin.role !== "delegate") return;
      const version = propertyNode(plugin.node, "cniVersion")?.children?.[1] ?? nullOf(plugin);
      if (!version || isSpecVersion(version.value)) return;
      yield {
        at: version,
        message: 'the delegate\'s "cniVersion" is no version of the specification',
        help: `delete it, or write one of ${SPEC_VERSIONS.join(", ")}`,
      };
    },
  },
];

/** iptables: a + at the end stands for any rest. */
function isCovered(device: string, pattern: string | undefined): boolean {
  return pattern?.endsWith("+") ? device.startsWith(pattern.slice(0, -1)) : device === pattern;
}

/** A version that is null, which other readers would take for absent. */
function nullOf(plugin: PluginNode): Node | undefined {
  for (const { name, value } of entries(plugin.node)) {
    if (name === "cniVersion" && value?.type === "null") return value;
  }
}

function lost(at: Found["at"], key: string): Found {
  return {
    at,
    message: `the port mapper overwrites "${key}" of its delegate`,
    help: `delete it, or set "${key}" of the network itself`,
  };
}
