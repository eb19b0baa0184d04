/** CNI1xx: the keys that the specification and an agent read, before any plugin does. */
import type { Node } from "jsonc-parser";
import { isNetworkName, isPluginType } from "../../cni/config.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import { type Context, type Found, type WrittenRule } from "../rule.ts";
import { openingOf } from "../range.ts";
import { atLeast, isSpecVersion } from "../../cni/version.ts";
import { readerOf } from "../reader.ts";
import { closest } from "../../base/nearest.ts";
import { renamed } from "../schema_check.ts";
import { isNamed, misspeltType, schemaOf } from "../schemas/mod.ts";
import {
  entries,
  field,
  isObject,
  items,
  keyNode,
  nullKey,
  ofWrongKind,
  property,
  quote,
  text,
} from "../tree.ts";
import { bridge, bridgeFields, json, list, network } from "./example.ts";

export const STRUCTURE: readonly WrittenRule[] = [
  {
    code: "CNI101",
    name: "name-missing",
    title: 'the network has no "name"',
    why: "Frameworks ask for a network by its name. A file without one is skipped by the agent.",
    bad: json({ type: "bridge", bridge: "cni0" }),
    *ofNetwork({ root }) {
      const name = property(root, "name");
      if (name && name.type !== "string") {
        yield ofWrongKind(name, "the network's name", "a string", 'write "name": "…"');
      } else if (!name || name.value === "") {
        const inner = items(property(root, "plugins")).map((plugin) => keyNode(plugin, "name"))
          .find((one) => one !== undefined);
        if (!name && inner) {
          yield {
            at: inner,
            message: 'the "name" stands in a plugin, and the network has none',
            help: 'move it beside "plugins"',
          };
          return;
        }
        yield missing(root, "name", { name: "the network", complete: true }, {
          at: name,
          help: 'add "name": "…", the name that frameworks ask for',
        });
      }
    },
  },
  {
    code: "CNI102",
    name: "name-malformed",
    title: "the network's name has characters that a name can't have",
    why:
      "The specification allows letters, digits and _ . - after a letter or digit. The name becomes " +
      "a directory of the agent's checkpoints and of host-local's leases, so a slash would lead " +
      "elsewhere; plugins refuse it.",
    bad: network({ name: "web/tier 1", type: "bridge" }),
    good: network({ name: "web-tier-1", type: "bridge" }),
    *ofNetwork({ root, name }, { reader }) {
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
    title: 'a plugin has no "type"',
    why:
      "The type is the file name of the plugin to execute. Without one, the agent skips the file.",
    bad: network({ bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    *ofPlugin(plugin) {
      const { node, type, role } = plugin;
      const place = property(node, "type");
      if (place && place.type !== "string") {
        yield ofWrongKind(place, '"type"', "a string", "write the file name of the plugin");
      } else if (!type && role !== "partial") {
        const list = role === "single" ? strayList(node) : undefined;
        if (list) {
          yield renamed(node, list, "plugins", { name: "the network", complete: true });
          return;
        }
        yield missing(node, "type", { name: called(plugin) }, {
          at: place,
          help: 'add "type": "…", the file name of the plugin',
        });
      }
    },
  },
  {
    code: "CNI104",
    name: "type-path",
    title: '"type" is a path, not a file name',
    why:
      "The plugin is looked for by name in the directories of plugins, and nowhere else: that is " +
      "what keeps a config from executing any file as root.",
    bad: network({ type: "/opt/cni/bin/bridge", bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    *ofPlugin({ types }) {
      for (const [type, at] of types) {
        if (isPluginType(type)) continue;
        yield {
          at,
          message: `${quote(type)} is no file name`,
          help: "write the file name alone; the agent has the directory",
        };
      }
    },
  },
  {
    code: "CNI111",
    name: "reserved-args",
    title: 'the config sets args."org.apache.mesos", which is the agent\'s',
    why:
      "The agent puts the container's NetworkInfo there. It refuses to attach a container to a " +
      "network whose config has the key already.",
    bad: network({ type: "bridge", args: { "org.apache.mesos": { network_info: {} } } }),
    good: network({ type: "bridge", args: { cni: { mac: "02:00:00:00:00:01" } } }),
    *ofNetwork({ root }) {
      const args = property(root, "args");
      if (args && !isObject(args)) {
        yield ofWrongKind(args, '"args"', "an object", 'write "args": { … }, or delete it');
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
      "An empty ipam tells the bridge, macvlan and vlan plugins to assign no address; a stock Mesos agent " +
      "skips such a network, for which leaving ipam out means the same. An ipam with other fields and no " +
      "type can't be meant: nothing reads them, and plugins that need addresses fail.",
    bad: network({ type: "bridge", bridge: "cni0", ipam: { subnet: "10.1.0.0/16" } }),
    good: network({ type: "bridge", bridge: "cni0" }),
    *ofPlugin(plugin, context) {
      const { ipam, role } = plugin;
      if (!isObject(ipam) || role === "partial") return;
      const reader = readerOf(plugin.document, context);
      const type = field(ipam, "type");
      if (type && type.type !== "string") {
        yield {
          severity: "error",
          ...ofWrongKind(
            type,
            `the ipam's "type"`,
            "a string",
            "write the file name of the IPAM plugin",
          ),
        };
      } else if (!type || type.value === "") {
        const isEmpty = ipam.children!.length === 0;
        const schema = schemaOf(plugin);
        // A plugin with an IPAM of its own reads the rest of it all the same.
        const isLost = !isEmpty && schema !== undefined && schema.ipam !== "own";
        if (!isLost && reader !== "stock-agent") return;
        const isFatal = reader === "stock-agent" || (isLost && schema.ipam === "required");
        const severity = isFatal ? "error" : "warning";
        const found = missing(ipam, "type", { name: '"ipam"' }, {
          at: isEmpty ? ipam : undefined,
          message: isLost
            ? '"ipam" has no "type", so nothing assigns an address'
            : 'a stock agent skips a network whose "ipam" has no "type"',
          help: isEmpty
            ? 'leave "ipam" out: that too means no address'
            : 'add "type", the IPAM plugin you use',
        });
        yield { ...found, severity };
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
    *ofPlugin({ node, role, document }) {
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
    title: "null stands where an agent expects a value",
    why: "Plugins take null for absent. An agent doesn't: it skips the file.",
    bad: bridge({ args: null }),
    *ofNetwork({ root, plugins }) {
      yield* nulls(root, ["cniVersion", "cniVersions", "args"]);
      for (const { node, role } of plugins) {
        if (role === "single" || role === "listed") yield* nulls(node, ["capabilities"]);
      }
    },
  },
  {
    code: "CNI116",
    name: "stock-agent",
    title: "a stock Mesos agent can't use the network",
    why:
      'Apache Mesos\' own isolator reads single plugins: it skips a file without "type". And it reads ' +
      'results as they were before version 0.3.0, with "ip4" and "ip6": with a newer "cniVersion" the ' +
      "plugin's answer has neither, and the task fails. Both work with this program's isolator, and its " +
      "own plugins answer a stock agent in the old form: which of them run, --probe sees. Found with " +
      "--for=stock-agent.",
    bad: network({ type: "bridge", bridge: "cni0" }),
    needs: "--for=stock-agent",
    good: json({ cniVersion: "0.2.0", name: "net", ...bridgeFields() }),
    *ofNetwork(document, context) {
      const { root, kind, version, plugins } = document;
      if (readerOf(document, context) !== "stock-agent") return;
      if (kind === "conflist") {
        yield {
          at: keyNode(root, "plugins"),
          message: 'a stock agent reads a single plugin, and skips a file with "plugins"',
          help: "write one plugin, with the port mapper around it where ports are mapped; or use " +
            "mesos-cni's isolator",
        };
      } else if (
        version && isSpecVersion(version) && atLeast(version, "0.3.0") &&
        plugins[0]?.type !== PORT_MAPPER && !isOurs(plugins[0]?.type, context)
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
    name: "unknown-type",
    severity: "warning",
    title: "no plugin is known by this name, and none was found",
    why:
      "The type is the file name of the plugin, and any file may be one: what this program does not know " +
      "is looked for where plugins usually are on this machine, which need not be the one that reads the " +
      "file. With --plugins-dir, the directory says what is there, and CNI206 what is not.",
    bad: network({ type: "brigde", bridge: "cni0" }),
    good: network({ type: "bridge", bridge: "cni0" }),
    *ofPlugin({ types }, { plugins, usualPlugins: usual }) {
      if (plugins) return;
      for (const [type, at] of types) {
        if (!isPluginType(type) || isNamed(type) || usual?.find(type)) continue;
        const right = misspeltType(type);
        yield {
          at,
          message: `no plugin is known by the name ${quote(type)}, and ${
            usual?.path
              ? `there is none in ${usual.path}`
              : "there is no directory of plugins here to look in"
          }`,
          help: (right ? `did you mean "${right}"? ` : "check the spelling; ") +
            "--plugins-dir=DIR looks where the agent has its plugins",
        };
      }
    },
  },
];

/** Whether a type's file is this very program, as --probe sees it. */
function isOurs(type: string | undefined, { plugins, machine }: Context): boolean {
  const file = type !== undefined && isPluginType(type) ? plugins?.find(type) : undefined;
  return file !== undefined && machine?.isThisProgram(file.path) === true;
}

/** A key with a text that is missing in an object, or may be misspelt there. */
function missing(
  object: Node,
  key: string,
  owner: Parameters<typeof renamed>[3],
  { at, message, help }: Pick<Found, "at" | "help"> & Partial<Found>,
): Found {
  for (const { key: near, name, value } of entries(object)) {
    if (text(value) && closest(name, [key])) return renamed(object, near, key, owner);
  }
  return {
    at: at ?? nullKey(object, key) ?? openingOf(object),
    message: message ?? `${owner.name} has no "${key}"`,
    help,
  };
}

/** A list that was to be "plugins". */
function strayList(root: Node): Node | undefined {
  for (const { key, name, value } of entries(root)) {
    const isList = items(value).some((item) => isObject(item) && property(item, "type"));
    if (isList && (closest(name, ["plugins"]) || name.toLowerCase() === "plugins")) return key;
  }
}

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
