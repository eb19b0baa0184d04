/** CNI1xx and CNI4xx: the version of the specification, and what it can't express. */
import { isPluginType } from "../../cni/config.ts";
import {
  atLeast,
  DEFAULT_VERSION,
  isSpecVersion,
  SPEC_VERSIONS,
  type SpecVersion,
} from "../../cni/version.ts";
import { addressingOf } from "../addressing.ts";
import type { Document, PluginNode } from "../document.ts";
import { insertFirst, replacing } from "../edits.ts";
import { readerOf } from "../reader.ts";
import { type WrittenRule } from "../rule.ts";
import { openingOf } from "../range.ts";
import { isKnown, makesNoAddress, schemaOf } from "../schemas/mod.ts";
import { field, items, ofWrongKind, property, quote, text } from "../tree.ts";
import { bridge, bridgeFields, network } from "./example.ts";

const VERSIONS = SPEC_VERSIONS.join(", ");

const withFirewall = (cniVersion: string) =>
  network({ cniVersion, plugins: [bridgeFields(), { type: "firewall" }] });

const twoRanges = (cniVersion: string) => {
  const ranges = [[{ subnet: "10.1.0.0/16" }], [{ subnet: "10.2.0.0/16" }]];
  const ipam = { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }] };
  return network({ cniVersion, type: "ptp", ipam });
};

export const VERSION_RULES: readonly WrittenRule[] = [
  {
    code: "CNI105",
    name: "version-missing",
    severity: "info",
    title: 'the network has no "cniVersion"',
    why:
      "A config without one is read as version 0.1.0 of the specification, which knows one IPv4 and " +
      "one IPv6 address for a container. The fix writes 0.2.0 for a single plugin, whose results " +
      "have the same form and are what a stock Mesos agent understands, and 0.4.0 for a list or a " +
      "container without addresses. An empty one means the same and looks like an oversight: a warning.",
    bad: bridge({ cniVersion: undefined }),
    good: bridge({ cniVersion: "0.2.0" }),
    fix: "safe",
    *ofNetwork({ root, source, kind, plugins }) {
      const there = property(root, "cniVersion");
      if (
        property(root, "cniVersions") || (there ? there.value !== "" : field(root, "cniVersion"))
      ) {
        return;
      }
      // JSON that is no network.
      if (plugins.every(({ type }) => type === undefined)) return;
      const isOldForm = kind === "conf" && !plugins.some(makesNoAddress);
      const wanted: SpecVersion = isOldForm ? "0.2.0" : "0.4.0";
      const version = plugins.map((plugin) => schemaOf(plugin)?.since ?? wanted)
        .reduce((a, b) => order(a) > order(b) ? a : b, wanted);
      const title = `${there ? "write" : "add"} "cniVersion": "${version}"`;
      const edit = insertFirst(source.text, root, "cniVersion", version);
      yield {
        at: there ?? openingOf(root),
        severity: there ? "warning" : "info",
        message: `the network has ${
          there ? "an empty" : "no"
        } "cniVersion" and is read as ${DEFAULT_VERSION}`,
        help: title,
        // What another version changes is known only for plugins that are known in full.
        fix: !plugins.every(isKnown)
          ? undefined
          : there
          ? replacing(there, version, title)
          : { safety: "safe", title, edits: [edit] },
      };
    },
  },
  {
    code: "CNI106",
    name: "version-unknown",
    title: '"cniVersion" is no version of the specification',
    why:
      `The released versions are ${VERSIONS}. A plugin that gets another one answers with error 1, ` +
      "incompatible CNI version.",
    bad: network({ cniVersion: "1.0", type: "bridge" }),
    good: network({ cniVersion: "1.0.0", type: "bridge" }),
    *ofNetwork({ root, plugins }) {
      const others = property(root, "cniVersions");
      const delegates = plugins.filter(({ type }) => type === "multus")
        .flatMap(({ node }) => items(field(node, "delegates")));
      for (const object of [root, ...delegates]) {
        const version = property(object, "cniVersion");
        if (version && version.type !== "string") {
          yield ofWrongKind(
            version,
            '"cniVersion"',
            "a string",
            `write one of ${VERSIONS} in double quotes`,
          );
        } else if (version && version.value !== "" && order(version.value) < 0) {
          if (object === root && others) continue;
          yield {
            at: version,
            message: `${quote(version.value)} is no version of the CNI specification`,
            help: `write one of ${VERSIONS}`,
          };
        }
      }
      if (others && items(others).length === 0 && others.type !== "array") {
        yield ofWrongKind(others, '"cniVersions"', "a list", 'write ["0.4.0", "1.0.0"]');
      }
      for (const one of items(others)) {
        if (one.type === "string") continue;
        yield ofWrongKind(
          one,
          "a version",
          "a string",
          `write one of ${VERSIONS} in double quotes`,
        );
      }
    },
  },
  {
    code: "CNI107",
    name: "version-unsupported",
    title: 'the plugin does not speak the network\'s "cniVersion"',
    why:
      "Some plugins came with a later version of the specification and refuse the earlier ones; a " +
      `network without "cniVersion" counts as ${DEFAULT_VERSION}. With --probe, the plugins are asked ` +
      "themselves.",
    bad: withFirewall("0.2.0"),
    good: withFirewall("0.4.0"),
    *ofPlugin(plugin, { plugins, machine }) {
      const version = versionFor(plugin);
      if (!version) return;
      const since = schemaOf(plugin)?.since;
      const at = property(plugin.document.root, "cniVersion") ?? openingOf(plugin.document.root);
      const file = plugin.type && isPluginType(plugin.type)
        ? plugins?.find(plugin.type)
        : undefined;
      const spoken = file && machine?.pluginVersions(file.path);
      if (spoken && !spoken.includes(version)) {
        yield {
          at,
          message: `${plugin.type} here speaks CNI ${
            spoken.join(", ")
          }, and the network ${version}`,
          help: "use a version that all plugins of the network speak, or update the plugin",
        };
      } else if (!spoken && since && order(version) < order(since)) {
        yield {
          at,
          message: `${plugin.type} speaks CNI ${since} and newer, and the network ${version}`,
          help: `write "cniVersion": "${since}" or newer`,
        };
      }
    },
  },
  {
    code: "CNI408",
    name: "too-many-addresses",
    title: "a container gets more addresses than the config's version can tell",
    why:
      "Versions of the specification before 0.3.0 know one IPv4 and one IPv6 address for a container, " +
      'and a config without "cniVersion" is one of them.',
    bad: twoRanges("0.2.0"),
    good: twoRanges("1.0.0"),
    *ofPlugin(plugin) {
      const version = oldVersion(plugin);
      if (!version) return;
      const { ranges, fixed } = addressingOf(plugin);
      const sets = new Map(ranges.map((range) => [range.set, range.subnet?.value?.family]));
      const families = [...sets.values(), ...fixed.map((one) => one.address?.value?.family)];
      for (const family of [4, 6] as const) {
        const count = families.filter((one) => one === family).length;
        if (count < 2) continue;
        yield {
          at: field(plugin.ipam, fixed.length ? "addresses" : "ranges"),
          message: `a container gets ${count} IPv${family} addresses, and CNI ${version} knows one`,
          help: 'write "cniVersion": "0.3.1" or newer',
        };
      }
    },
  },
  {
    code: "CNI417",
    name: "no-address-in-old-version",
    title: "the config's version can't tell of a container without an address",
    ofAbsence: true,
    why:
      "Results of the specification before 0.3.0 hold addresses and nothing else. A plugin that is asked " +
      'for none, in a config of such a version or without "cniVersion", fails when it prints its result.',
    bad: network({ cniVersion: undefined, type: "bridge", bridge: "cni0" }),
    good: network({ cniVersion: "0.4.0", type: "bridge", bridge: "cni0" }),
    *ofPlugin(plugin, context) {
      const version = oldVersion(plugin);
      if (!version || !makesNoAddress(plugin)) return;
      // A stock agent reads no newer version.
      const isBound = readerOf(plugin.document, context) === "stock-agent";
      const { root } = plugin.document;
      yield {
        at: isBound ? plugin.typeNode : property(root, "cniVersion") ?? openingOf(root),
        message:
          `${plugin.type} without "ipam" has no address to report, and CNI ${version} needs one`,
        help: isBound ? 'add "ipam"' : 'write "cniVersion": "0.4.0" or newer, or add "ipam"',
      };
    },
  },
];

function order(version: string): number {
  return (SPEC_VERSIONS as readonly string[]).indexOf(version);
}

/** The version a plugin will be called with; undefined if other rules have refused it already. */
function versionFor(plugin: PluginNode): SpecVersion | undefined {
  const own = plugin.role === "delegate" || plugin.role === "network"
    ? text(property(plugin.node, "cniVersion"))
    : undefined;
  const version = own || newest(plugin.document) || DEFAULT_VERSION;
  return order(version) < 0 ? undefined : version as SpecVersion;
}

function newest(document: Document): string | undefined {
  const offered = items(property(document.root, "cniVersions")).map((one) => text(one));
  offered.push(document.version);
  return SPEC_VERSIONS.findLast((version) => offered.includes(version)) ?? document.version;
}

/** The version of a config that is read as one from before 0.3.0. */
function oldVersion(plugin: PluginNode): string | undefined {
  const { root, version = "" } = plugin.document;
  const read = version || DEFAULT_VERSION;
  if (property(root, "cniVersions") || !isSpecVersion(read) || atLeast(read, "0.3.0")) return;
  return read;
}
