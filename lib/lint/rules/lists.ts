/** CNI1xx: lists of plugins. */
import { closest } from "../../base/nearest.ts";
import type { PluginNode } from "../document.ts";
import { openingOf } from "../range.ts";
import type { WrittenRule } from "../rule.ts";
import { renamed } from "../schema_check.ts";
import { homeOf } from "../schemas/elsewhere.ts";
import { entries, isObject, items, keyNode, ofWrongKind, property, quote } from "../tree.ts";
import { bridge, bridgeFields, json, list, network } from "./example.ts";

/** Keys that only make sense in the config of a single plugin. */
const SINGLE_KEYS = ["type", "ipam", "capabilities", "runtimeConfig", "prevResult"];

const RATES = {
  type: "bandwidth",
  ...{ ingressRate: 8_000_000, ingressBurst: 80_000 },
  ...{ egressRate: 8_000_000, egressBurst: 80_000 },
};

/** Plugins whose interfaces have no end on the host, or one that is not in the result. */
const WITHOUT_END = ["macvlan", "ipvlan", "vlan", "host-device", "dummy", "tap", "loopback"];

export const LISTS: readonly WrittenRule[] = [
  {
    code: "CNI108",
    name: "plugins-empty",
    title: '"plugins" is not a list of at least one plugin',
    why: "A chain of no plugins attaches a container to nothing.",
    bad: network({ plugins: [] }),
    good: list(bridgeFields()),
    *ofNetwork({ root }) {
      const plugins = property(root, "plugins");
      if (!plugins) return;
      if (plugins.type !== "array") {
        yield ofWrongKind(plugins, '"plugins"', "a list", 'write "plugins": [ … ]');
      } else if (plugins.children!.length === 0) {
        yield { at: plugins, message: '"plugins" is empty', help: "add at least one plugin" };
      }
      for (const plugin of items(plugins)) {
        if (isObject(plugin)) continue;
        yield ofWrongKind(plugin, "a plugin", "an object", 'write { "type": … }');
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
    *ofNetwork({ root, source, kind }) {
      if (kind !== "conflist") return;
      if (source.path.endsWith(".conf") && property(root, "type")) {
        yield {
          at: keyNode(root, "plugins"),
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
    *ofNetwork({ root, source, kind }, { reader }) {
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
      const name = /\.(conf|json)$/.exec(source.path)?.[0];
      // Agents read a .json as they read a .conf.
      if (name === ".json" && reader !== "libcni") return;
      if (kind === "conflist" && name && !property(root, "type")) {
        yield {
          at: keyNode(root, "plugins"),
          // Only this program's isolator goes by what is in the file, and not by its name.
          severity: reader === "isolator" ? undefined : "error",
          message: `a ${name} has a list of "plugins"`,
          help: "name the file .conflist",
        };
      }
    },
  },
  {
    code: "CNI118",
    name: "two-interfaces",
    title: "two plugins of a list make the interface",
    why:
      "Both make an interface of one name in the container, and the second finds it there already.",
    bad: list(bridgeFields(), { ...bridgeFields({ bridge: "cni1" }, { subnet: "10.2.0.0/16" }) }),
    good: list(bridgeFields()),
    *ofNetwork({ plugins }) {
      const [first, ...others] = plugins.filter((plugin) =>
        plugin.role === "listed" && plugin.outer === undefined && makesInterface(plugin)
      );
      for (const plugin of others) {
        yield {
          at: plugin.typeNode,
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
    title: "a key of the list is misspelt, or has a value that libcni refuses",
    why:
      'Beside "plugins", a list has "cniVersion", "cniVersions", "name", "disableCheck", "disableGC" and ' +
      '"loadOnlyInlinedPlugins". The switches are true or false, the first also in quotes.',
    bad: json({ cniVersion: "1.0.0", name: "net", disableCheck: "yes", plugins: [bridgeFields()] }),
    good: json({ cniVersion: "1.0.0", name: "net", disableCheck: true, plugins: [bridgeFields()] }),
    *ofNetwork({ root, kind }) {
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
            yield {
              ...renamed(root, key, right, { name: "a list", complete: true }),
              severity: "warning",
            };
          }
        }
      }
    },
  },
  {
    code: "CNI514",
    name: "bandwidth-misplaced",
    title: "bandwidth stands where it can't limit anything",
    why:
      "bandwidth limits the traffic at the host's end of a container's veth, which bridge and ptp make and " +
      "macvlan, ipvlan, vlan and host-device don't. A second one in a list finds the first one's queue there.",
    bad: list(bridgeFields(), RATES, RATES),
    good: list(bridgeFields(), RATES),
    *ofNetwork({ plugins }) {
      const listed = plugins.filter(({ role, outer }) => role === "listed" && !outer);
      const [first] = listed.filter(limits);
      for (const plugin of listed.filter(limits)) {
        const maker = listed[0]!.type;
        const isAlone = maker !== undefined && WITHOUT_END.includes(maker);
        if (plugin === first && !isAlone) continue;
        yield {
          at: plugin.typeNode,
          message: isAlone
            ? `bandwidth needs the host's end of a veth, and ${maker} makes none`
            : "a second bandwidth finds the first one's queue there, and fails",
          help: isAlone ? "limit it elsewhere, or use bridge or ptp" : "write all rates into one",
        };
      }
    },
  },
];

const LIST_SWITCHES = ["disableCheck", "disableGC", "loadOnlyInlinedPlugins"];
const LIST_KEYS = ["cniVersion", "cniVersions", "name", "plugins", ...LIST_SWITCHES];

/** Whether the plugin makes the interface that the runtime asks for. */
function makesInterface(plugin: PluginNode): boolean {
  const { type } = plugin;
  // ipvlan may stand on what was made before; a bridge may be told to make none.
  if (type === "ipvlan" && plugin.isChained && !plugin.field("master")) return false;
  if (plugin.isTrue("disableContainerInterface")) return false;
  return type !== undefined && INTERFACE_MAKERS.includes(type);
}

const INTERFACE_MAKERS = ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "host-device", "dummy"];

/** Without a rate, it passes the result on. */
function limits(plugin: PluginNode): boolean {
  return plugin.type === "bandwidth" &&
    ["ingressRate", "egressRate"].some((key) => (plugin.field(key)?.value ?? 0) !== 0);
}
