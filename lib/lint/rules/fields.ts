/** CNI5xx: each plugin's fields by type and range, and the combinations that can't work. */
import { isPromised } from "../addressing.ts";
import { hasUnknownCapability, TAKERS, unknownCapabilities } from "../capabilities.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import { parseAddress } from "../../base/prefix.ts";
import type { Found, Rule } from "../rule.ts";
import { retyped } from "../retype.ts";
import {
  type Owner,
  renamed,
  typedFields,
  typeProblem,
  unknownInside,
  unknownKeys,
  valueProblem,
} from "../schema_check.ts";
import { COMMON } from "../schemas/common.ts";
import { homeOf, meant } from "../schemas/elsewhere.ts";
import type { Schema } from "../schema.ts";
import { MAIN } from "../schemas/main.ts";
import { META } from "../schemas/meta.ts";
import { ipamSchemaOf, makesNoAddress, schemaNamed, schemaOf } from "../schemas/mod.ts";
import { misspeltSysctl } from "../schemas/sysctls.ts";
import {
  entries,
  field,
  isObject,
  isTrue,
  items,
  property,
  propertyNode,
  quote,
  text,
} from "../tree.ts";
import { attached, bridge, bridgeFields, list, network } from "./example.ts";

export const FIELDS: readonly Rule[] = [
  {
    code: "CNI501",
    name: "unknown-key",
    severity: "warning",
    title: "a key that the plugin doesn't know",
    why: "Plugins ignore keys they don't know, so a typing error silently leaves the default in " +
      "place. A key that resembles none of the plugin's own may belong to a newer version and " +
      "counts as info. Keys that start with _ or $ or hold a dot or slash are left alone.",
    bad: network({ type: "bridge", bridge: "cni0", isGatway: true }),
    good: bridge({ _comment: "for the web tier" }),
    fixable: true,
    on: "plugin",
    *check(plugin) {
      yield* misspelt(plugin);
    },
  },
  {
    code: "CNI502",
    name: "field-type",
    severity: "error",
    title: "a field has a value of the wrong type",
    why:
      'Plugins decode their config strictly: a string where a number belongs, or "true" in quotes, ' +
      "makes them refuse the whole config at the first container.",
    bad: bridge({ mtu: "1500" }),
    good: bridge({ mtu: 1500 }),
    fixable: true,
    on: "plugin",
    *check(plugin) {
      yield* mistyped(plugin);
    },
  },
  {
    code: "CNI503",
    name: "field-value",
    severity: "error",
    title: "a field has a value that the plugin or the kernel refuses",
    why:
      "The value has the right type, and yet a container can't be attached with it: the plugin's own " +
      "check fails, or the kernel's.",
    bad: attached({ type: "macvlan", master: "eth0", mode: "brigde" }),
    good: attached({ type: "macvlan", master: "eth0", mode: "bridge" }),
    on: "plugin",
    *check(plugin) {
      for (const [node, type, path] of typedFields(plugin)) {
        if (typeProblem(node, type, plugin.document.source.text)) continue;
        const problem = valueProblem(node, type);
        if (problem) yield { at: node, ...problem, message: `${path}: ${problem.message}` };
      }
      if (plugin.type === "tuning") yield* foreignSysctls(plugin);
      const device = ["macvlan", "ipvlan", "vlan"].includes(plugin.type ?? "")
        ? plugin.field("master")
        : undefined;
      if (text(device) === "lo") {
        yield {
          at: device,
          message: `the kernel makes no ${plugin.type} on the loopback device`,
          help: "name the device that is wired to the network, such as eth0",
        };
      }
    },
  },
  {
    code: "CNI504",
    name: "field-missing",
    severity: "error",
    title: "a field is missing that the plugin can't do without",
    why: "The plugin refuses the config at the first container.",
    ofAbsence: true,
    bad: attached({ type: "vlan", vlanId: 5 }),
    good: attached({ type: "vlan", master: "eth0", vlanId: 5 }),
    on: "plugin",
    *check(plugin) {
      const { node, type, role } = plugin;
      if (role === "partial") return;
      for (const name of schemaOf(plugin)?.required ?? []) {
        if (text(plugin.field(name))) continue;
        if (plugin.field(name) && plugin.field(name)!.type !== "string") continue;
        yield {
          at: plugin.field(name) ?? property(node, "type"),
          message: `${type} needs "${name}"`,
          help: `add "${name}": "…"`,
        };
      }
      if (type === "host-device" && !identifiesDevice(plugin)) {
        yield {
          at: property(node, "type"),
          message: "host-device needs to be told which device",
          help: 'add one of "device", "hwaddr", "kernelpath" or "pciBusID"',
        };
      }
    },
  },
  {
    code: "CNI505",
    name: "ipam-missing",
    severity: "error",
    title: "the plugin needs an IPAM plugin, and the config names none",
    why: "ptp, ipvlan and vlan make an interface only together with its addresses.",
    ofAbsence: true,
    bad: network({ type: "ptp" }),
    good: attached({ type: "ptp" }),
    on: "plugin",
    *check(plugin) {
      if (plugin.role === "partial" || plugin.ipamType || plugin.isChained) return;
      if (schemaOf(plugin)?.ipam !== "required") return;
      if (plugin.ipam && (!isObject(plugin.ipam) || plugin.ipam.children!.length > 0)) return;
      yield {
        at: plugin.ipam ?? property(plugin.node, "type"),
        message: `${plugin.type} needs "ipam"`,
        help: 'add "ipam": { "type": "host-local", "subnet": … }',
      };
    },
  },
  {
    code: "CNI506",
    name: "wrong-kind-of-plugin",
    severity: "error",
    title: "an IPAM plugin stands where a network plugin belongs, or the other way round",
    why:
      "An IPAM plugin answers with addresses and makes no interface; a network plugin asked for " +
      "addresses tries to make a second interface.",
    bad: bridge({}, { type: "bridge" }),
    good: bridge({}, { type: "host-local" }),
    on: "plugin",
    *check({ node, type, ipam, ipamType }) {
      if (schemaNamed(type)?.kind === "ipam") {
        yield {
          at: property(node, "type"),
          message: `${type} assigns addresses and makes no interface`,
          help: `use it as the "type" of the "ipam" of a network plugin such as bridge`,
        };
      }
      const kind = schemaNamed(ipamType)?.kind;
      if (kind === "main" || kind === "meta") {
        yield {
          at: field(ipam, "type"),
          message: `${ipamType} is no IPAM plugin`,
          help: "use host-local, static or dhcp, or the IPAM plugin that belongs to the network",
        };
      }
    },
  },
  {
    code: "CNI507",
    name: "needs-a-chain",
    severity: "error",
    title: "a plugin that works on another one's interface stands alone or first",
    why:
      "portmap, bandwidth, firewall, tuning, sbr and vrf change an interface that is there. Without a " +
      'plugin before them they have no "prevResult" and fail.',
    bad: network({ type: "firewall" }),
    good: list(bridgeFields(), { type: "firewall" }),
    on: "plugin",
    *check(plugin) {
      // A config with a result in it is what a runtime hands to a plugin of a list.
      if (!schemaOf(plugin)?.chained || plugin.isChained || plugin.field("prevResult")) return;
      yield {
        at: property(plugin.node, "type"),
        message: `${plugin.type} must stand behind another plugin in "plugins"`,
        help: "make a .conflist with the plugin that makes the interface first",
      };
    },
  },
  {
    code: "CNI508",
    name: "conflicting-fields",
    severity: "error",
    title: "two fields exclude each other",
    why: "The plugin refuses the combination.",
    bad: bridge({ hairpinMode: true, promiscMode: true }),
    good: bridge({ hairpinMode: true }),
    on: "plugin",
    *check(plugin) {
      const { type } = plugin;
      if (type === "bridge") {
        if (isTrue(plugin.field("hairpinMode")) && isTrue(plugin.field("promiscMode"))) {
          yield {
            at: plugin.field("promiscMode"),
            message: "a bridge can't be in hairpin mode and promiscuous mode at once",
            help: "keep hairpinMode, unless the bridge's other ports need promiscMode",
          };
        }
        yield* trunkProblems(plugin);
      }
      if (
        type === "portmap" && plugin.field("markMasqBit") && plugin.field("externalSetMarkChain")
      ) {
        yield {
          at: plugin.field("markMasqBit"),
          message: "markMasqBit has no use with externalSetMarkChain, and portmap refuses both",
          help: "keep the one that your firewall uses",
        };
      }
      if (type === "bandwidth") {
        yield* rateProblems(plugin, "ingressRate", "ingressBurst");
        yield* rateProblems(plugin, "egressRate", "egressBurst");
      }
    },
  },
  {
    code: "CNI509",
    name: "no-effect",
    severity: "warning",
    title: "a field has no effect without another one",
    ofAbsence: true,
    why: "The network works, but not as the file reads.",
    bad: network({ ...bridgeFields({ isGateway: false, ipMasq: true }) }),
    good: bridge(),
    on: "plugin",
    *check(plugin) {
      if (plugin.type !== "bridge" || plugin.role === "partial") return;
      const isGateway = isTrue(plugin.field("isGateway")) ||
        isTrue(plugin.field("isDefaultGateway"));
      const without = (name: string, lacks: string, help: string): Found => ({
        at: plugin.field(name),
        message: `"${name}" has no use without ${lacks}`,
        help,
      });
      if (isTrue(plugin.field("ipMasq")) && plugin.ipamType && !isGateway) {
        yield without(
          "ipMasq",
          '"isGateway": the bridge has no address that a container could send through',
          'add "isGateway": true',
        );
      }
      if (isTrue(plugin.field("ipMasq")) && !plugin.ipam) {
        yield without("ipMasq", "addresses", 'add "ipam", or delete "ipMasq"');
      }
      if (isGateway && !plugin.ipam) {
        const name = isTrue(plugin.field("isGateway")) ? "isGateway" : "isDefaultGateway";
        yield without(name, '"ipam", where the gateway\'s address is from', 'add "ipam"');
      }
      if (isTrue(plugin.field("forceAddress")) && !isGateway) {
        yield without("forceAddress", '"isGateway"', 'delete it, or add "isGateway": true');
      }
    },
  },
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
    on: "plugin",
    *check(plugin) {
      if (plugin.type === "sbr" && makesNoAddress(plugin.document.plugins[0]!)) {
        yield {
          at: property(plugin.node, "type"),
          severity: "error",
          message: "sbr routes by the container's addresses, and the plugin before it assigns none",
          help: 'add "ipam" to the plugin that makes the interface',
        };
      }
      if (plugin.type !== "portmap") return;
      const capabilities = plugin.field("capabilities");
      const capability = property(capabilities, "portMappings");
      if (isTrue(capability) || hasUnknownCapability(plugin)) return;
      if (field(plugin.field("runtimeConfig"), "portMappings")) return;
      yield {
        at: capability ?? property(plugin.node, "type"),
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
    fixable: true,
    on: "plugin",
    *check(plugin) {
      for (const { key, right } of unknownCapabilities(plugin)) {
        yield renamed(plugin.field("capabilities")!, key, right, { name: "a runtime" });
      }
      if (!schemaOf(plugin)?.complete) return;
      for (const { key, name, value } of entries(plugin.field("capabilities"))) {
        const takers = TAKERS[name];
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
    on: "plugin",
    *check(plugin) {
      if (plugin.role === "partial" || !schemaOf(plugin)?.complete) return;
      for (const name of ["prevResult", "runtimeConfig"]) {
        const found = propertyNode(plugin.node, name);
        if (!found) continue;
        yield {
          at: found.children![0],
          message: `"${name}" is set by the runtime, not by a file`,
          help: name === "runtimeConfig"
            ? 'delete it; ask for it with "capabilities"'
            : "delete it; the runtime hands over the result of the plugin before",
        };
      }
    },
  },
  {
    code: "CNI513",
    name: "nameserver-malformed",
    severity: "warning",
    title: "a nameserver is no IP address",
    why:
      "The address is written into the container's resolv.conf as it stands; the resolver skips what it " +
      "can't read, and names are not found or only after a wait.",
    bad: bridge({ dns: { nameservers: ["8.8.8"] } }),
    good: bridge({ dns: { nameservers: ["8.8.8.8"] } }),
    on: "plugin",
    *check(plugin) {
      const lists = [
        plugin.field("dns"),
        plugin.ipamType === "static" && field(plugin.ipam, "dns"),
      ];
      for (const dns of lists) {
        for (const server of items(field(dns || undefined, "nameservers"))) {
          const value = text(server);
          if (value === undefined || parseAddress(value.replace(/%.*$/, ""))) continue;
          yield {
            at: server,
            message: `${quote(value)} is no address of a nameserver`,
            help: 'write an IP address, such as "10.1.0.1"',
          };
        }
      }
    },
  },
];

/** Findings of keys and types, of which others only follow. */
export function* slipsOf(plugin: PluginNode): Generator<Found> {
  yield* misspelt(plugin);
  yield* mistyped(plugin);
}

function* mistyped(plugin: PluginNode): Generator<Found> {
  const source = plugin.document.source.text;
  for (const [node, type, path] of typedFields(plugin)) {
    const problem = typeProblem(node, type, source);
    if (!problem) continue;
    yield {
      at: node,
      message: `${path} ${problem.what}`,
      help: problem.help,
      fix: retyped(node, type, source),
    };
  }
}

function* misspelt(plugin: PluginNode): Generator<Found> {
  const schema = schemaOf(plugin);
  const name = plugin.type ?? "bridge";
  // The port mapper is not written in Go; a stock agent's reads the exact keys too.
  const ignoresCase = plugin.type !== PORT_MAPPER;
  const lacks = lackingKeys(plugin);
  if (schema) {
    const { complete } = schema;
    const owner: Owner = { name, ignoresCase, complete };
    const { ipam: ipamField, ...common } = COMMON;
    const known = { ...common, ...schema.fields, ...(ignoresCase && { ipam: ipamField! }) };
    yield* unknownKeys(plugin.node, known, { ...owner, lacks, home: (key) => home(plugin, key) });
    for (const [key, type] of Object.entries(complete ? schema.fields : {})) {
      yield* unknownInside(plugin.field(key), type, { ...owner, home: outside(key, schema) });
    }
    if (complete) yield* unknownInside(plugin.field("dns"), COMMON.dns!, owner);
  }
  const ipam = ipamSchemaOf(plugin);
  if (!ipam || !isObject(plugin.ipam)) return;
  const owner: Owner = { name: plugin.ipamType!, ignoresCase: true, complete: ipam.complete };
  yield* unknownKeys(plugin.ipam, ipam.fields, {
    ...owner,
    lacks,
    home: (key) => homeOf(key, "ipam"),
  });
  for (const [key, type] of Object.entries(ipam.complete ? ipam.fields : {})) {
    yield* unknownInside(field(plugin.ipam, key), type, { ...owner, home: outside(key, ipam) });
  }
}

/** Where a key inside the field `key` belongs that is one of the fields beside it. */
function outside(key: string, { fields }: Schema): Owner["home"] {
  return (name) => Object.hasOwn(fields, name) ? `beside "${key}"` : undefined;
}

/** Where a key of a plugin belongs that is none of its own. */
function home(plugin: PluginNode, key: string): string | undefined {
  if (plugin.type === PORT_MAPPER) {
    const inner = field(plugin.node, "delegate");
    return isObject(inner) && (key === "ipam" || homeOf(key, "plugin"))
      ? 'into "delegate"'
      : undefined;
  }
  if (plugin.role === "delegate" && Object.hasOwn(MAIN[PORT_MAPPER]!.fields, key)) {
    return "beside the delegate, to the port mapper";
  }
  if (key === plugin.type) return 'out of its braces, beside "type"';
  if (/^net[./]/.test(key)) return `into "sysctl"${plugin.type === "tuning" ? "" : " of tuning"}`;
  return homeOf(key, "plugin");
}

/** Plugins of other projects that put a subnet into host-local's config. */
const FILL_IN_SUBNETS = ["antrea", "consul-cni"];

/** Keys of which a plugin can't do without one, and has none. */
function lackingKeys(plugin: PluginNode): string[] {
  const { type, ipam, ipamType, role, outer } = plugin;
  if (role === "partial") return [];
  const has = (key: string) => plugin.field(key) !== undefined;
  const lacks: string[] = [];
  const oneOf = (there: boolean, ...keys: string[]) => there || lacks.push(...keys);
  for (const key of schemaOf(plugin)?.required ?? []) oneOf(has(key), key);
  if (type === "host-device") oneOf(identifiesDevice(plugin), "device", "hwaddr");
  if (type === PORT_MAPPER) {
    oneOf(has("chain"), "chain");
    oneOf(has("delegate") || plugin.isChained, "delegate");
    const delegate = plugin.field("delegate");
    if (isObject(delegate)) oneOf(field(delegate, "ipam") !== undefined, "ipam");
  }
  for (const direction of type === "bandwidth" ? ["ingress", "egress"] : []) {
    const pair = [`${direction}Rate`, `${direction}Burst`];
    if (pair.some(has)) { for (const key of pair) oneOf(has(key), key); }
  }
  if (outer?.type === PORT_MAPPER) oneOf(property(outer.node, "chain") !== undefined, "chain");
  const { root, version = "" } = plugin.document;
  const isOld = !property(root, "cniVersions") && /^(0\.[12]\.0)?$/.test(version);
  const needsIpam = schemaOf(plugin)?.ipam === "required" || (isOld && makesNoAddress(plugin));
  if (needsIpam && !plugin.isChained) oneOf(has("ipam"), "ipam");
  // Whoever writes a subnet, by whatever name, has no plugin that fills it in; but for these.
  if (ipamType === "host-local" && !FILL_IN_SUBNETS.includes(type ?? "")) {
    const isThere = field(ipam, "subnet") || field(ipam, "ranges") ||
      isPromised(plugin, "ipRanges");
    oneOf(Boolean(isThere), "subnet", "ranges");
  }
  if (ipamType === "static") {
    const isThere = field(ipam, "addresses") || isPromised(plugin, "ips");
    oneOf(Boolean(isThere), "addresses");
  }
  return lacks;
}

/** tuning sets nothing but the network's sysctls, and keys are file names below /proc/sys. */
function* foreignSysctls(plugin: PluginNode): Generator<Found> {
  for (const { key, name } of entries(plugin.field("sysctl"))) {
    if (/(^|\/)\.\.(\/|$)/.test(name)) {
      yield {
        at: key,
        message: `sysctl: ${quote(name)} leads out of its directory`,
        help: "write the name as sysctl(8) shows it, such as net.core.somaxconn",
      };
      continue;
    }
    if (/^net[./]/.test(name)) {
      const right = misspeltSysctl(name);
      if (right) {
        yield {
          at: key,
          message: `sysctl: the kernel knows no ${quote(name)}`,
          help: `did you mean ${quote(right)}?`,
        };
      }
      continue;
    }
    yield {
      at: key,
      message: `sysctl: ${quote(name)} is not one of the network's`,
      help: "use keys that start with net., in lower case",
    };
  }
}

function identifiesDevice(plugin: PluginNode): boolean {
  return ["device", "hwaddr", "kernelpath", "pciBusID"].some((name) => {
    const node = plugin.field(name);
    return node !== undefined && node.value !== "";
  }) || plugin.field("runtimeConfig") !== undefined ||
    isTrue(field(plugin.field("capabilities"), "deviceID"));
}

/** vlanTrunk: each item a pair of ends or an id. */
function* trunkProblems(plugin: PluginNode): Generator<Found> {
  for (const item of items(plugin.field("vlanTrunk"))) {
    if (!isObject(item)) continue;
    const [min, max] = [field(item, "minID"), field(item, "maxID")];
    if (!min !== !max) {
      yield {
        at: item,
        message: `${min ? "minID" : "maxID"} of a trunk stands without ${min ? "maxID" : "minID"}`,
        help: 'write both ends, or "id" for a single VLAN',
      };
    } else if (min && max && min.value > max.value) {
      yield { at: item, message: "minID of a trunk is greater than maxID", help: "swap the two" };
    }
  }
}

function* rateProblems(plugin: PluginNode, rate: string, burst: string): Generator<Found> {
  const [rateNode, burstNode] = [plugin.field(rate), plugin.field(burst)];
  const [hasRate, hasBurst] = [rateNode, burstNode].map((node) => (node?.value ?? 0) !== 0);
  if (hasRate === hasBurst) return;
  const [there, missing] = hasRate ? [rate, burst] : [burst, rate];
  const { fields } = META.bandwidth!;
  for (const { name } of entries(plugin.node)) {
    if (name !== there && meant(name, fields) === missing && !Object.hasOwn(fields, name)) return;
  }
  const zero = hasRate ? burstNode : rateNode;
  yield {
    at: zero ?? (hasRate ? rateNode : burstNode),
    message: `"${there}" needs "${missing}"${zero ? ", and 0 is as good as none" : ""}`,
    help: `add "${missing}"; a rate is in bits per second and a burst in bits`,
  };
}
