/** CNI5xx: each plugin's fields by type and range, and the combinations that can't work. */
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import { addressingOf, prefixesOf } from "../addressing.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { typedFields, typeProblem, valueProblem } from "../schema_check.ts";
import { identifiesDevice, slipsOf } from "../slips.ts";
import { meant } from "../schemas/elsewhere.ts";
import { META } from "../schemas/meta.ts";
import { schemaNamed, schemaOf } from "../schemas/mod.ts";
import { entries, field, isObject, items, property, quote, text } from "../tree.ts";
import { attached, bridge, bridgeFields, list, network } from "./example.ts";

export const FIELDS: readonly WrittenRule[] = [
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
    fix: "safe",
    ofPlugin: (plugin) => slipsOf(plugin).misspelt,
  },
  {
    code: "CNI502",
    name: "field-type",
    title: "a field has a value of the wrong type",
    why:
      'Plugins decode their config strictly: a string where a number belongs, or "true" in quotes, ' +
      "makes them refuse the whole config at the first container.",
    bad: bridge({ mtu: "1500" }),
    good: bridge({ mtu: 1500 }),
    fix: "safe",
    ofPlugin: (plugin) => slipsOf(plugin).mistyped,
  },
  {
    code: "CNI503",
    name: "field-value",
    title: "a field has a value that the plugin or the kernel refuses",
    why:
      "The value has the right type, and yet a container can't be attached with it: the plugin's own " +
      "check fails, or the kernel's.",
    bad: attached({ type: "macvlan", master: "eth0", mode: "brigde" }),
    good: attached({ type: "macvlan", master: "eth0", mode: "bridge" }),
    *ofPlugin(plugin) {
      for (const [node, type, path] of typedFields(plugin)) {
        if (typeProblem(node, type, plugin.document.source.text)) continue;
        const problem = valueProblem(node, type);
        if (problem) yield { at: node, ...problem, message: `${path}: ${problem.message}` };
      }
      if (plugin.type === "tuning") yield* foreignSysctls(plugin);
      if (plugin.type === "portmap") yield* conditions(plugin);
      if (plugin.type === "bandwidth") yield* smallRates(plugin);
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
    title: "a field is missing that the plugin can't do without",
    why:
      "The plugin refuses the config at the first container. ptp and ipvlan make an interface only together " +
      "with its addresses, and vlan does before 1.10.0: that is a warning.",
    ofAbsence: true,
    bad: attached({ type: "vlan", vlanId: 5 }),
    good: attached({ type: "vlan", master: "eth0", vlanId: 5 }),
    *ofPlugin(plugin) {
      const { node, type, role } = plugin;
      if (role === "partial") return;
      for (const name of schemaOf(plugin)?.required ?? []) {
        if (plugin.text(name)) continue;
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
      yield* missingIpam(plugin);
      // Its containers send everything to the host's end of their wire.
      for (const { node, address, gateway } of type === "ptp" ? addressingOf(plugin).fixed : []) {
        if (!address?.value || gateway) continue;
        yield {
          at: node,
          message: "ptp needs a gateway for each address, and static names none here",
          help: 'add "gateway", an address of the subnet',
        };
      }
    },
  },
  {
    code: "CNI506",
    name: "wrong-kind-of-plugin",
    title: "an IPAM plugin stands where a network plugin belongs, or the other way round",
    why:
      "An IPAM plugin answers with addresses and makes no interface; a network plugin asked for " +
      "addresses tries to make a second interface. Of two port mappers, both would answer for the same ports.",
    bad: bridge({}, { type: "bridge" }),
    *ofPlugin({ node, type, ipam, ipamType, outer }) {
      if (type === PORT_MAPPER && outer?.type === PORT_MAPPER) {
        yield {
          at: property(node, "type"),
          message: "the delegate of a port mapper can't be another one",
          help: "name the plugin that makes the interface",
        };
      }
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
    title: "a plugin that works on another one's interface stands alone or first",
    why:
      "portmap, bandwidth, firewall, tuning, sbr and vrf change an interface that is there. Without a " +
      'plugin before them they have no "prevResult" and fail. istio-cni does nothing then, and ' +
      "the container has no network: a warning.",
    bad: network({ type: "firewall" }),
    good: list(bridgeFields(), { type: "firewall" }),
    *ofPlugin(plugin, { reader }) {
      const chained = schemaOf(plugin)?.chained;
      // A config with a result in it is what a runtime hands to a plugin of a list.
      if (!chained || plugin.isChained || plugin.field("prevResult")) return;
      const fails = chained === "or fails";
      // Multus attaches such a one beside the network that makes the interface.
      const isBeside = reader === "libcni" || plugin.role === "network";
      const areAllIdle = plugin.document.plugins.every((one) => schemaOf(one)?.chained);
      if (!fails && (isBeside || !areAllIdle)) return;
      yield {
        at: plugin.typeNode,
        severity: fails ? "error" : "warning",
        message: fails
          ? `${plugin.type} must stand behind another plugin in "plugins"`
          : `${plugin.type} makes no interface, and no other plugin here does`,
        help: "make a .conflist with the plugin that makes the interface first",
      };
    },
  },
  {
    code: "CNI508",
    name: "conflicting-fields",
    title: "two fields exclude each other",
    why:
      "The plugin or the kernel refuses the combination. IPv6 needs links of at least 1280 bytes: on one with " +
      "less, no address can be set, and tuning, which comes later, takes it away: a warning.",
    bad: bridge({ hairpinMode: true, promiscMode: true }),
    good: bridge({ hairpinMode: true }),
    *ofPlugin(plugin) {
      const { type } = plugin;
      yield* smallMtu(plugin);
      if (type === "bridge") {
        if (plugin.isTrue("hairpinMode") && plugin.isTrue("promiscMode")) {
          yield {
            at: plugin.field("promiscMode"),
            message: "a bridge can't be in hairpin mode and promiscuous mode at once",
            help: "keep hairpinMode, unless the bridge's other ports need promiscMode",
          };
        }
        yield* trunkProblems(plugin);
        if (plugin.isTrue("disableIPv6") && hasIpv6(plugin)) {
          yield {
            at: plugin.field("disableIPv6"),
            message: "the container gets an IPv6 address, and its interface is to do without IPv6",
            help: "take disableIPv6 out, or give IPv4 addresses alone",
          };
        }
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
      if (type === "portmap") yield* backendProblems(plugin);
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
    *ofPlugin(plugin) {
      if (plugin.type !== "bridge" || plugin.role === "partial") return;
      const { isGateway } = plugin;
      const without = (name: string, lacks: string, help: string): Found => ({
        at: plugin.field(name),
        message: `"${name}" has no use without ${lacks}`,
        help,
      });
      if (plugin.isTrue("ipMasq") && plugin.ipamType && !isGateway) {
        yield without(
          "ipMasq",
          '"isGateway": the bridge has no address that a container could send through',
          'add "isGateway": true',
        );
      }
      if (plugin.isTrue("ipMasq") && !plugin.ipam) {
        yield without("ipMasq", "addresses", 'add "ipam", or delete "ipMasq"');
      }
      if (isGateway && !plugin.ipam) {
        const name = plugin.isTrue("isGateway") ? "isGateway" : "isDefaultGateway";
        yield without(name, '"ipam", where the gateway\'s address is from', 'add "ipam"');
      }
      if (plugin.isTrue("forceAddress") && !isGateway) {
        yield without("forceAddress", '"isGateway"', 'delete it, or add "isGateway": true');
      }
    },
  },
];

function* missingIpam(plugin: PluginNode): Generator<Found> {
  const { ipam, type } = plugin;
  const schema = schemaOf(plugin);
  if (plugin.ipamType || plugin.isChained || schema?.ipam !== "required") return;
  if (ipam && (!isObject(ipam) || ipam.children!.length > 0)) return;
  const since = schema.ipamOptionalSince;
  yield {
    at: ipam ?? plugin.typeNode,
    severity: since ? "warning" : "error",
    message: `${type} needs "ipam"${since ? ` before version ${since} of it` : ""}`,
    help: 'add "ipam": { "type": "host-local", "subnet": … }',
  };
}

function hasIpv6(plugin: PluginNode): boolean {
  return prefixesOf(plugin).some(({ prefix }) => prefix?.value?.family === 6);
}

/** RFC 8200, section 5; the kernel's IPV6_MIN_MTU. */
const LEAST_MTU = 1280;

function* smallMtu(plugin: PluginNode): Generator<Found> {
  const mtu = plugin.field("mtu");
  if (mtu?.type !== "number" || mtu.value < 68 || mtu.value >= LEAST_MTU) return;
  const isTuning = plugin.type === "tuning";
  if (![plugin, ...isTuning ? plugin.document.plugins : []].some(hasIpv6)) return;
  yield {
    at: mtu,
    severity: isTuning ? "warning" : "error",
    message: `IPv6 needs an MTU of at least ${LEAST_MTU}, and the container gets an IPv6 address`,
    help: `write ${LEAST_MTU} or more, or give IPv4 addresses alone`,
  };
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
    if (/^net[./]/.test(name)) continue;
    yield {
      at: key,
      message: `sysctl: ${quote(name)} is not one of the network's`,
      help: "use keys that start with net., in lower case",
    };
  }
}

/** What the backend nftables has no use for, or ours none. */
function* backendProblems(plugin: PluginNode): Generator<Found> {
  if (text(plugin.field("backend")) !== "nftables") return;
  for (const key of ["externalSetMarkChain", "conditionsV4", "conditionsV6"]) {
    const node = plugin.field(key);
    const [first] = items(node);
    if (!node || (key !== "externalSetMarkChain" && first === undefined)) continue;
    const isOfIptables = key === "externalSetMarkChain" || /^[-!]/.test(text(first) ?? "");
    yield {
      at: node,
      severity: isOfIptables ? "error" : "warning",
      message: isOfIptables
        ? `${key} is of the backend "iptables", and portmap refuses it with "nftables"`
        : `${key}: mesos-cni's portmap has no conditions with the backend "nftables", and refuses them`,
      help: `delete it, or use "backend": "iptables"`,
    };
  }
}

/** Each word of a condition is an argument of iptables' own. */
function* conditions(plugin: PluginNode): Generator<Found> {
  for (const key of ["conditionsV4", "conditionsV6"]) {
    for (const item of items(plugin.field(key))) {
      const words = text(item)?.trim().split(/\s+/) ?? [];
      if (words.length < 2 || !/^(-|!$)/.test(words[0]!)) continue;
      yield {
        at: item,
        message: `${key}: ${quote(item.value)} is one argument to iptables, which knows none such`,
        help: `write ${words.map((word) => JSON.stringify(word)).join(", ")}`,
      };
    }
  }
}

/** Both are in bits: what reads like megabits or kilobytes lets hardly anything through. */
function* smallRates(plugin: PluginNode): Generator<Found> {
  for (const direction of ["ingress", "egress"]) {
    const rate = plugin.field(`${direction}Rate`);
    const burst = plugin.field(`${direction}Burst`);
    if (rate?.value > 0 && rate!.value < 1000) {
      yield {
        at: rate,
        severity: "warning",
        message: `${direction}Rate: ${rate!.value} bits a second are less than a packet a second`,
        help: "write the rate in bits a second, such as 8000000 for a megabyte",
      };
    } else if (rate?.value > 0 && burst?.value > 0 && burst!.value < 8 * 1500) {
      yield {
        at: burst,
        severity: "warning",
        message: `${direction}Burst: packets of more than ${burst!.value >> 3} bytes are dropped`,
        help: "write the burst in bits, of several packets of 12000 bits each",
      };
    }
  }
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
