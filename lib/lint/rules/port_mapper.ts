/** CNI6xx: the port mapper, mesos-cni-port-mapper. */
import { isSpecVersion, SPEC_VERSIONS } from "../../cni/version.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { field, isObject, items, keyNode, nullKey, property, quote, text } from "../tree.ts";
import { bridgeFields, list, portMapper } from "./example.ts";

export const PORT_MAPPERS: readonly WrittenRule[] = [
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
    title: "the port mapper, or multus, has nobody to make the interface",
    ofAbsence: true,
    why:
      'The port mapper adds port mappings to another plugin\'s interface: that of its "delegate", or, in ' +
      "a list, that of the plugins before it. multus needs a default network, as delegates or as " +
      "clusterNetwork.",
    bad: portMapper({ delegate: undefined }),
    good: list(bridgeFields(), { type: "mesos-cni-port-mapper", chain: "MESOS-NET" }),
    *ofPlugin(plugin) {
      if (plugin.type === "multus") yield* withoutNetwork(plugin);
      if (plugin.type !== PORT_MAPPER || plugin.isChained) return;
      if (plugin.field("delegate")) return; // a wrong type is another rule's
      yield {
        at: plugin.typeNode,
        message: 'the port mapper needs a "delegate"',
        help: 'add "delegate": { "type": "bridge", … }, the plugin that makes the interface',
      };
    },
  },
  {
    code: "CNI609",
    name: "delegate-overwritten",
    severity: "warning",
    title: "a field of the delegate is another's to set",
    why:
      'The port mapper puts its own "name" and "args" into the delegate\'s config: what stands there ' +
      'is lost. flannel refuses a delegate with a "name" or an "ipam", whose addresses are from the lease ' +
      'that flanneld got: that is an error. An "ipam" to start from belongs beside "delegate".',
    bad: portMapper({}, { name: "inner" }),
    good: portMapper(),
    *ofPlugin({ node, role, outer }) {
      for (const key of role === "delegate" ? ["name", "args"] : []) {
        const found = property(node, key);
        const own = property(outer!.node, key)?.value ?? null;
        if (!found || found.value === own) continue;
        yield {
          at: keyNode(node, key),
          message: `the port mapper overwrites "${key}" of its delegate`,
          help: `delete it, or set "${key}" of the network itself`,
        };
      }
      for (const key of role === "partial" ? ["name", "ipam"] : []) {
        const value = property(node, key);
        if (!value) continue;
        yield {
          at: value,
          severity: "error",
          message: `flannel refuses a delegate with "${key}", which it sets itself`,
          help: key === "name" ? "delete it" : 'move it beside "delegate", or delete it',
        };
      }
    },
  },
  {
    code: "CNI610",
    name: "delegate-version",
    title: 'the delegate\'s "cniVersion" is no version of the specification',
    why:
      "A delegate gets the network's version unless it has one of its own, which must be a released one " +
      "too.",
    bad: portMapper({}, { cniVersion: "0.2" }),
    good: portMapper({}, { cniVersion: "0.2.0" }),
    *ofPlugin(plugin) {
      if (plugin.role !== "delegate") return;
      // One that is null, other readers would take for absent.
      const { node } = plugin;
      const version = property(node, "cniVersion") ?? nullKey(node, "cniVersion");
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

/** multus: networks to delegate to, and what each of them lacks. */
function* withoutNetwork(plugin: PluginNode): Generator<Found> {
  if (plugin.text("clusterNetwork")) return;
  const delegates = plugin.field("delegates");
  if (items(delegates).length === 0 && (!delegates || delegates.type === "array")) {
    yield {
      at: delegates ?? plugin.typeNode,
      message: "multus has no network to delegate to",
      help: 'add "delegates": [ … ] or "clusterNetwork"',
    };
  }
  for (const delegate of items(delegates)) {
    if (!isObject(delegate) || field(delegate, "type") || field(delegate, "plugins")) continue;
    yield {
      at: delegate,
      message: 'a delegate has neither "type" nor "plugins"',
      help: 'add "type", or the "plugins" of a list',
    };
  }
}
