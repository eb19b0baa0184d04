/** CNI1xx: the keys that the specification and an agent read, before any plugin does. */
import type { Node } from "jsonc-parser";
import { isNetworkName, isPluginType } from "../../cni/config.ts";
import { MOST_PLUGINS, type PluginNode, PORT_MAPPER } from "../document.ts";
import { type Found, type Rule } from "../rule.ts";
import { openingOf } from "../range.ts";
import { atLeast, isSpecVersion } from "../../cni/version.ts";
import { IGNORE_KEY, ignoresIn, names } from "../ignore.ts";
import { readerOf } from "../reader.ts";
import { closest } from "../../base/nearest.ts";
import { renamed } from "../schema_check.ts";
import { homeOf } from "../schemas/elsewhere.ts";
import { mayBeAnother, misspeltType, schemaOf } from "../schemas/mod.ts";
import {
  entries,
  field,
  isObject,
  isTrue,
  items,
  kindOf,
  nullKey,
  property,
  propertyNode,
  quote,
  text,
} from "../tree.ts";
import { bridge, bridgeFields, json, list, network } from "./example.ts";

/** Keys that only make sense in the config of a single plugin. */
const SINGLE_KEYS = ["type", "ipam", "capabilities", "runtimeConfig", "prevResult"];

export const STRUCTURE: readonly Rule[] = [
  {
    code: "CNI101",
    name: "name-missing",
    severity: "error",
    title: 'the network has no "name"',
    why: "Frameworks ask for a network by its name. A file without one is skipped by the agent.",
    bad: json({ type: "bridge", bridge: "cni0" }),
    good: bridge(),
    on: "document",
    *check({ root }) {
      const name = property(root, "name");
      if (name && name.type !== "string") {
        yield {
          at: name,
          message: `the network's name must be a string, and this is ${kindOf(name)}`,
          help: 'write "name": "…"',
        };
      } else if (!name || name.value === "") {
        const inner = items(property(root, "plugins")).map((plugin) => propertyNode(plugin, "name"))
          .find((one) => one !== undefined);
        if (!name && inner) {
          yield {
            at: inner.children![0],
            message: 'the "name" stands in a plugin, and the network has none',
            help: 'move it beside "plugins"',
          };
          return;
        }
        const near = misspelt(root, "name");
        if (near) {
          yield { ...renamed(root, near, "name", { name: "the network" }) };
          return;
        }
        yield {
          at: name ?? nullKey(root, "name") ?? openingOf(root),
          message: 'the network has no "name"',
          help: 'add "name": "…", the name that frameworks ask for',
        };
      }
    },
  },
  {
    code: "CNI102",
    name: "name-malformed",
    severity: "error",
    title: "the network's name has characters that a name can't have",
    why:
      "The specification allows letters, digits and _ . - after a letter or digit. The name becomes " +
      "a directory of the agent's checkpoints and of host-local's leases, so a slash would lead " +
      "elsewhere; plugins refuse it.",
    bad: network({ name: "web/tier 1", type: "bridge" }),
    good: network({ name: "web-tier-1", type: "bridge" }),
    on: "document",
    *check({ root, name }, { reader }) {
      // Agents take an underscore in front as well, which older networks have.
      const named = reader === "libcni" ? name : name?.replace(/^_+/, "");
      if (!name || isNetworkName(named!)) return;
      yield {
        at: property(root, "name"),
        message: `${quote(name)} is no network name`,
        help: "use letters, digits, _ . and -, and start with a letter or digit",
      };
    },
  },
  {
    code: "CNI103",
    name: "type-missing",
    severity: "error",
    title: 'a plugin has no "type"',
    why:
      "The type is the file name of the plugin to execute. Without one, the agent skips the file.",
    bad: network({ bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    on: "plugin",
    *check(plugin) {
      const { node, type, role } = plugin;
      const place = property(node, "type");
      if (place && place.type !== "string") {
        yield {
          at: place,
          message: `"type" must be a string, and this is ${kindOf(place)}`,
          help: "write the file name of the plugin",
        };
      } else if (!type && role !== "partial") {
        const list = role === "single" ? strayList(node) : undefined;
        if (list) {
          yield renamed(node, list, "plugins", { name: "the network" });
          return;
        }
        const near = misspelt(node, "type");
        if (near) {
          yield renamed(node, near, "type", { name: called(plugin) });
          return;
        }
        yield {
          at: place ?? nullKey(node, "type") ?? openingOf(node),
          message: `${called(plugin)} has no "type"`,
          help: 'add "type": "…", the file name of the plugin',
        };
      }
    },
  },
  {
    code: "CNI104",
    name: "type-path",
    severity: "error",
    title: '"type" is a path, not a file name',
    why:
      "The plugin is looked for by name in the directories of plugins, and nowhere else: that is " +
      "what keeps a config from executing any file as root.",
    bad: network({ type: "/opt/cni/bin/bridge", bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    on: "plugin",
    *check({ node, ipam }) {
      for (const place of [property(node, "type"), field(ipam, "type")]) {
        const type = text(place);
        if (!type || isPluginType(type)) continue;
        yield {
          at: place,
          message: `${quote(type)} is no file name`,
          help: "write the file name alone; the agent has the directory",
        };
      }
    },
  },
  {
    code: "CNI108",
    name: "plugins-empty",
    severity: "error",
    title: '"plugins" is not a list of at least one plugin',
    why: "A chain of no plugins attaches a container to nothing.",
    bad: network({ plugins: [] }),
    good: list(bridgeFields()),
    on: "document",
    *check({ root }) {
      const plugins = propertyNode(root, "plugins")?.children?.[1];
      if (!plugins) return;
      if (plugins.type !== "array") {
        yield {
          at: plugins,
          message: `"plugins" must be a list, and this is ${kindOf(plugins)}`,
          help: 'write "plugins": [ … ]',
        };
      } else if (plugins.children!.length === 0) {
        yield { at: plugins, message: '"plugins" is empty', help: "add at least one plugin" };
      }
      for (const plugin of items(plugins)) {
        if (isObject(plugin)) continue;
        yield {
          at: plugin,
          message: `a plugin must be an object, and this is ${kindOf(plugin)}`,
          help: 'write { "type": … }',
        };
      }
    },
  },
  {
    code: "CNI109",
    name: "conf-and-conflist",
    severity: "warning",
    title: 'the network has both "plugins" and the fields of a single plugin',
    why:
      "A stock Mesos agent takes such a file for a single plugin and ignores the list; every other " +
      "runtime takes it for a list and ignores the single plugin's fields. One of the two will " +
      "surprise you.",
    bad: json({ cniVersion: "1.0.0", name: "net", type: "bridge", plugins: [bridgeFields()] }),
    good: list(bridgeFields()),
    on: "document",
    *check({ root, source, kind }) {
      if (kind !== "conflist") return;
      if (source.path.endsWith(".conf") && property(root, "type")) {
        yield {
          at: propertyNode(root, "plugins")!.children![0],
          message:
            '"plugins" beside "type" has no effect in a .conf but with this program\'s isolator',
          help: 'name the file .conflist and delete "type", or delete "plugins"',
        };
        return;
      }
      for (const { key, name } of entries(root)) {
        if (LIST_KEYS.includes(name)) continue;
        if (!SINGLE_KEYS.includes(name) && !homeOf(name, "plugin")) continue;
        yield {
          at: key,
          message: `${quote(name)} beside "plugins" has no effect in a list`,
          help: `move it into the plugin it belongs to, or delete it`,
        };
      }
    },
  },
  {
    code: "CNI110",
    name: "wrong-extension",
    severity: "warning",
    title: "a .conf holds a list of plugins, or a .conflist a single one",
    why:
      "An agent reads every file whatever its name, but containerd, podman and Nomad choose the " +
      'parser by it: they refuse a .conflist without "plugins" and a .conf with them. A stock ' +
      'Mesos agent knows single plugins only and skips a file without "type".',
    bad: { "net.conflist": bridge() },
    good: { "net.conflist": list(bridgeFields()) },
    on: "document",
    *check({ root, source, kind }, { reader }) {
      const severity = reader === "libcni" ? "error" : undefined;
      if (kind === "conf" && source.path.endsWith(".conflist")) {
        if (!property(root, "type")) return; // neither the one nor the other
        yield {
          at: openingOf(root),
          severity,
          message: 'a .conflist has no list of "plugins"',
          help: 'name the file .conf, or put the plugin into "plugins": [ … ]',
        };
      }
      if (kind === "conflist" && source.path.endsWith(".conf") && !property(root, "type")) {
        yield {
          at: propertyNode(root, "plugins")!.children![0],
          // Of the three, only this program's isolator goes by what is in the file.
          severity: reader === "isolator" ? undefined : "error",
          message: 'a .conf has a list of "plugins"',
          help: "name the file .conflist",
        };
      }
    },
  },
  {
    code: "CNI111",
    name: "reserved-args",
    severity: "error",
    title: 'the config sets args."org.apache.mesos", which is the agent\'s',
    why:
      "The agent puts the container's NetworkInfo there. It refuses to attach a container to a " +
      "network whose config has the key already.",
    bad: network({ type: "bridge", args: { "org.apache.mesos": { network_info: {} } } }),
    good: network({ type: "bridge", args: { cni: { mac: "02:00:00:00:00:01" } } }),
    on: "document",
    *check({ root }) {
      const args = property(root, "args");
      if (args && !isObject(args)) {
        yield {
          at: args,
          message: `"args" must be an object, and this is ${kindOf(args)}`,
          help: 'write "args": { … }, or delete it',
        };
      }
      for (const { key, name } of entries(args)) {
        if (name !== "org.apache.mesos") continue;
        yield {
          at: key,
          message: 'args."org.apache.mesos" is the agent\'s own: it refuses this network',
          help: "delete it; labels and port mappings come from the framework's request",
        };
      }
    },
  },
  {
    code: "CNI112",
    name: "ipam-without-type",
    severity: "warning",
    title: '"ipam" has no "type"',
    why:
      "An empty ipam tells the bridge and macvlan plugins to assign no address. A stock Mesos agent " +
      "skips a network whose ipam has no type; leaving ipam out means the same to the plugin. An " +
      "ipam with other fields and no type can't be meant: nothing reads them, and plugins that need " +
      "addresses fail.",
    bad: network({ type: "bridge", bridge: "cni0", ipam: {} }),
    good: network({ type: "bridge", bridge: "cni0" }),
    on: "plugin",
    *check(plugin, context) {
      const { ipam, role } = plugin;
      if (!isObject(ipam) || role === "partial") return;
      const reader = readerOf(plugin.document, context);
      const type = field(ipam, "type");
      if (type && type.type !== "string") {
        yield {
          at: type,
          severity: "error",
          message: `the ipam's "type" must be a string, and this is ${kindOf(type)}`,
          help: "write the file name of the IPAM plugin",
        };
      } else if (!type || type.value === "") {
        const isEmpty = ipam.children!.length === 0;
        const schema = schemaOf(plugin);
        // A plugin with an IPAM of its own reads the rest of it all the same.
        const isLost = !isEmpty && schema !== undefined && schema.ipam !== "own";
        const isSkipped = reader === "stock-agent" || reader === undefined;
        if (!isLost && !isSkipped) return;
        const isFatal = reader === "stock-agent" || (isLost && schema.ipam === "required");
        const severity = isFatal ? "error" : "warning";
        const near = misspelt(ipam, "type");
        if (near) {
          yield { ...renamed(ipam, near, "type", { name: '"ipam"' }), severity };
          return;
        }
        yield {
          at: isEmpty ? ipam : nullKey(ipam, "type") ?? openingOf(ipam),
          severity,
          message: isLost
            ? '"ipam" has no "type", so nothing assigns an address'
            : 'a stock agent skips a network whose "ipam" has no "type"',
          help: isEmpty
            ? 'leave "ipam" out: that too means no address'
            : 'add "type", the IPAM plugin you use',
        };
      }
    },
  },
  {
    code: "CNI113",
    name: "name-in-plugin",
    severity: "info",
    title: 'a plugin of a list has a "name" or "cniVersion" of its own',
    why: "The runtime overwrites both with those of the list.",
    bad: list({ ...bridgeFields(), cniVersion: "0.4.0" }),
    good: list(bridgeFields()),
    on: "plugin",
    *check({ node, role, document }) {
      if (role !== "listed") return;
      for (const { key, name, value } of entries(node)) {
        if (name !== "name" && name !== "cniVersion") continue;
        if (value?.value === property(document.root, name)?.value) continue;
        yield {
          at: key,
          message: `"${name}" in a plugin of a list has no effect`,
          help: `delete it; the list's own "${name}" counts`,
        };
      }
    },
  },
  {
    code: "CNI114",
    name: "null-value",
    severity: "error",
    title: "null stands where an agent expects a value",
    why:
      "Plugins in Go take null for absent. The isolator and the port mapper don't: the one skips the " +
      "file, the other refuses it.",
    bad: bridge({ args: null }),
    good: bridge(),
    on: "document",
    *check({ root, plugins }) {
      yield* nulls(root, ["cniVersion", "cniVersions", "args"]);
      for (const { node, role, type } of plugins) {
        if (role === "single" || role === "listed") yield* nulls(node, ["capabilities"]);
        if (type === PORT_MAPPER) {
          yield* nulls(node, ["backend", "snat", "excludeDevices", "delegate"]);
        }
      }
    },
  },
  {
    code: "CNI116",
    name: "stock-agent",
    severity: "error",
    title: "a stock Mesos agent can't use the network",
    why:
      'Apache Mesos\' own isolator reads single plugins: it skips a file without "type". And it reads ' +
      'results as they were before version 0.3.0, with "ip4" and "ip6": with a newer "cniVersion" the ' +
      "plugin's answer has neither, and the task fails. Both work with this program's isolator, and its " +
      "port mapper answers a stock agent in the old form. Found with --for=stock-agent.",
    bad: network({ type: "bridge", bridge: "cni0" }),
    needs: "--for=stock-agent",
    good: json({ cniVersion: "0.2.0", name: "net", ...bridgeFields() }),
    on: "document",
    *check(document, context) {
      const { root, kind, version, plugins } = document;
      if (readerOf(document, context) !== "stock-agent") return;
      if (kind === "conflist") {
        yield {
          at: propertyNode(root, "plugins")!.children![0],
          message: 'a stock agent reads a single plugin, and skips a file with "plugins"',
          help: "write one plugin, with the port mapper around it where ports are mapped; or use " +
            "mesos-cni's isolator",
        };
      } else if (
        version && isSpecVersion(version) && atLeast(version, "0.3.0") &&
        plugins[0]?.type !== PORT_MAPPER
      ) {
        yield {
          at: property(root, "cniVersion"),
          message: `a stock agent finds no address in a result of version ${version}: ` +
            "each task fails",
          help: 'write "cniVersion": "0.2.0"',
        };
      }
    },
  },
  {
    code: "CNI117",
    name: "misspelt-type",
    severity: "error",
    title: "no plugin has this name, but one has nearly",
    why:
      "The type is the file name of the plugin. With --plugins-dir, the directory says what is there, " +
      "and this rule is silent.",
    bad: network({ type: "brigde", bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    fixable: true,
    on: "plugin",
    *check({ node, ipam }, { plugins }) {
      if (plugins) return;
      for (const place of [property(node, "type"), field(ipam, "type")]) {
        const type = text(place);
        const right = type && misspeltType(type);
        if (!right) continue;
        const isUnsure = mayBeAnother(type, right);
        yield {
          at: place,
          severity: isUnsure ? "warning" : undefined,
          message: isUnsure
            ? `no plugin is known by the name ${quote(type)}`
            : `there is no plugin ${quote(type)}`,
          help: `did you mean "${right}"?`,
          fix: {
            title: `write "${right}" in place of ${quote(type)}`,
            edits: [{
              offset: place!.offset,
              length: place!.length,
              content: JSON.stringify(right),
            }],
          },
        };
      }
    },
  },
  {
    code: "CNI118",
    name: "two-interfaces",
    severity: "error",
    title: "two plugins of a list make the interface",
    why:
      "Both make an interface of one name in the container, and the second finds it there already.",
    bad: list(bridgeFields(), { ...bridgeFields({ bridge: "cni1" }, { subnet: "10.2.0.0/16" }) }),
    good: list(bridgeFields()),
    on: "document",
    *check({ plugins }) {
      const [first, ...others] = plugins.filter((plugin) =>
        plugin.role === "listed" && plugin.outer === undefined && makesInterface(plugin)
      );
      for (const plugin of others) {
        yield {
          at: property(plugin.node, "type"),
          message: `${plugin.type} makes a second interface of the name that ${
            first!.type
          } has made one of`,
          help: "keep one of the two; a second interface needs a network of its own",
        };
      }
    },
  },
  {
    code: "CNI119",
    name: "list-field",
    severity: "error",
    title: "a key of the list is misspelt, or has a value that libcni refuses",
    why:
      'Beside "plugins", a list has "cniVersion", "cniVersions", "name", "disableCheck", "disableGC" and ' +
      '"loadOnlyInlinedPlugins". The switches are true or false, the first also in quotes.',
    bad: json({ cniVersion: "1.0.0", name: "net", disableCheck: "yes", plugins: [bridgeFields()] }),
    good: json({ cniVersion: "1.0.0", name: "net", disableCheck: true, plugins: [bridgeFields()] }),
    on: "document",
    *check({ root, kind }) {
      if (kind !== "conflist") return;
      for (const { key, name, value } of entries(root)) {
        if (LIST_SWITCHES.includes(name)) {
          const isSwitch = value?.type === "boolean" ||
            (value?.type === "string" && /^(true|false)$/i.test(value.value));
          if (isSwitch) continue;
          yield {
            at: value,
            message: `"${name}" must be true or false`,
            help: "write true or false, without quotes",
          };
        } else if (!LIST_KEYS.includes(name) && !SINGLE_KEYS.includes(name)) {
          const right = closest(name, LIST_KEYS);
          if (right) {
            yield { ...renamed(root, key, right, { name: "a list" }), severity: "warning" };
          }
        }
      }
    },
  },
  {
    code: "CNI120",
    name: "unknown-ignore",
    severity: "warning",
    title: `"${IGNORE_KEY}" names no rule`,
    why:
      `"${IGNORE_KEY}" in an object keeps findings in it from being shown: a name or code of a rule, ` +
      "the beginning of a code, or a list of these. What names no rule silences nothing.",
    bad: bridge({ [IGNORE_KEY]: "no-route-to-agnt" }),
    good: bridge({ [IGNORE_KEY]: "no-route-to-agent" }),
    on: "document",
    *check({ source }, { rules }) {
      for (const { rule, at } of ignoresIn(source)) {
        if (!rules || rules.some((one) => names(rule, one))) continue;
        yield {
          at,
          message: `there is no rule ${quote(rule)}`,
          help: "mesos-cni lint --explain=all lists the rules",
        };
      }
    },
  },
  {
    code: "CNI115",
    name: "too-many-plugins",
    severity: "warning",
    title: `the network has more than ${MOST_PLUGINS} plugins`,
    why: "Each is executed for each container, one after the other. The others are not looked at.",
    bad: list(...Array<Record<string, string>>(MOST_PLUGINS + 1).fill({ type: "loopback" })),
    good: list(bridgeFields()),
    on: "document",
    *check({ root, pluginCount }) {
      if (pluginCount <= MOST_PLUGINS) return;
      yield {
        at: propertyNode(root, "plugins")?.children?.[0],
        message:
          `the network has ${pluginCount} plugins; only the first ${MOST_PLUGINS} are checked`,
        help: "check what wrote this file",
      };
    },
  },
];

const LIST_SWITCHES = ["disableCheck", "disableGC", "loadOnlyInlinedPlugins"];
const LIST_KEYS = ["cniVersion", "cniVersions", "name", "plugins", ...LIST_SWITCHES];

/** A key with a string that was to be `right`, of which there is none. */
function misspelt(object: Node, right: string): Node | undefined {
  for (const { key, name, value } of entries(object)) {
    if (value?.type === "string" && value.value !== "" && closest(name, [right])) return key;
  }
}

/** A list that was to be "plugins". */
function strayList(root: Node): Node | undefined {
  for (const { key, name, value } of entries(root)) {
    const isList = items(value).some((item) => isObject(item) && property(item, "type"));
    if (isList && (closest(name, ["plugins"]) || name.toLowerCase() === "plugins")) return key;
  }
}

/** Whether the plugin makes the interface that the runtime asks for. */
function makesInterface(plugin: PluginNode): boolean {
  const { type } = plugin;
  // ipvlan may stand on what was made before; a bridge may be told to make none.
  if (type === "ipvlan" && plugin.isChained && !plugin.field("master")) return false;
  if (isTrue(plugin.field("disableContainerInterface"))) return false;
  return type !== undefined && INTERFACE_MAKERS.includes(type);
}

const INTERFACE_MAKERS = ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "host-device", "dummy"];

function* nulls(object: Node, keys: readonly string[]): Generator<Found> {
  for (const { name, value } of entries(object)) {
    if (value?.type !== "null" || !keys.includes(name)) continue;
    yield { at: value, message: `"${name}" must not be null`, help: "delete it" };
  }
}

/** How a message calls a plugin that may have no type. */
function called(plugin: PluginNode): string {
  return {
    single: "the network",
    listed: "a plugin",
    delegate: "the delegate",
    partial: "the delegate",
    network: "a delegate",
  }[
    plugin.role
  ];
}
