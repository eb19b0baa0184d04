/** Misspelt keys and values of the wrong type: what seems to be missing only follows from them. */
import { onceEach } from "../base/once_each.ts";
import { isPromised } from "./addressing.ts";
import { type PluginNode, PORT_MAPPER } from "./document.ts";
import { retyped } from "./retype.ts";
import type { Found } from "./rule.ts";
import type { Fields, Schema } from "./schema.ts";
import {
  type Owner,
  typedFields,
  typeProblem,
  unknownInside,
  unknownKeys,
} from "./schema_check.ts";
import { COMMON } from "./schemas/common.ts";
import { homeOf } from "./schemas/elsewhere.ts";
import { MAIN } from "./schemas/main.ts";
import { ipamSchemaOf, isKnown, makesNoAddress, schemaOf } from "./schemas/mod.ts";
import { field, isObject, isTrue, property } from "./tree.ts";

/** More of a kind in one plugin tell nothing new. */
const MOST = 50;

/** Keys and types of a plugin that are wrong, of which other findings only follow. */
export interface Slips {
  /** Keys that the plugin or its IPAM plugin doesn't know. */
  misspelt: readonly Found[];
  /** Values of the wrong type. */
  mistyped: readonly Found[];
}

export const slipsOf = onceEach((plugin: PluginNode): Slips => ({
  misspelt: [...misspelt(plugin).take(MOST)],
  mistyped: [...mistyped(plugin).take(MOST)],
}));

function* mistyped(plugin: PluginNode): Generator<Found> {
  const source = plugin.document.source.text;
  for (const [node, type, path] of typedFields(plugin)) {
    const problem = typeProblem(node, type, source);
    if (!problem) continue;
    yield {
      at: node,
      message: `${path} ${problem.what}`,
      help: problem.help,
      fix: retyped(node, type, source, isKnown(plugin) ? "safe" : "unsafe"),
    };
  }
}

function* misspelt(plugin: PluginNode): Generator<Found> {
  const schema = schemaOf(plugin);
  const name = plugin.type ?? "bridge";
  const lacks = () => lackingKeys(plugin);
  if (schema) {
    const { complete } = schema;
    const owner: Owner = { name, complete };
    const known = knownTo(schema);
    yield* unknownKeys(plugin.node, known, { ...owner, lacks, home: (key) => home(plugin, key) });
    for (const [key, type] of Object.entries(complete ? schema.fields : {})) {
      yield* unknownInside(plugin.field(key), type, { ...owner, home: outside(key, schema) });
    }
    if (complete) yield* unknownInside(plugin.field("dns"), COMMON.dns!, owner);
  }
  const ipam = ipamSchemaOf(plugin);
  if (!ipam || !isObject(plugin.ipam)) return;
  const owner: Owner = { name: plugin.ipamType!, complete: ipam.complete };
  yield* unknownKeys(plugin.ipam, ipam.fields, {
    ...owner,
    lacks,
    home: (key) => homeOf(key, "ipam"),
  });
  for (const [key, type] of Object.entries(ipam.complete ? ipam.fields : {})) {
    yield* unknownInside(field(plugin.ipam, key), type, { ...owner, home: outside(key, ipam) });
  }
}

/** The keys of a plugin, with those that all have. */
const knownTo = onceEach((schema: Schema): Fields => {
  const { ipam, ...common } = COMMON;
  return { ...common, ...schema.fields, ...(schema !== MAIN[PORT_MAPPER] && { ipam: ipam! }) };
});

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
    oneOf(has("delegate") || plugin.isChained, "delegate");
    const delegate = plugin.field("delegate");
    if (isObject(delegate)) oneOf(field(delegate, "ipam") !== undefined, "ipam");
  }
  for (const direction of type === "bandwidth" ? ["ingress", "egress"] : []) {
    const pair = [`${direction}Rate`, `${direction}Burst`];
    if (pair.some(has)) { for (const key of pair) oneOf(has(key), key); }
  }
  if (outer?.type === PORT_MAPPER) oneOf(outer.field("chain") !== undefined, "chain");
  const { root, version = "" } = plugin.document;
  const isOld = !property(root, "cniVersions") && /^(0\.[12]\.0)?$/.test(version);
  const needsIpam = schemaOf(plugin)?.ipam === "required" || (isOld && makesNoAddress(plugin));
  if (needsIpam && !plugin.isChained) oneOf(has("ipam"), "ipam");
  // A config that has a subnet, by whatever name, has no plugin that fills one in, except for these.
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

/** Whether host-device is told which device to take. */
export function identifiesDevice(plugin: PluginNode): boolean {
  return ["device", "hwaddr", "kernelpath", "pciBusID"].some((name) => {
    const node = plugin.field(name);
    return node !== undefined && node.value !== "";
  }) || plugin.field("runtimeConfig") !== undefined ||
    isTrue(field(plugin.field("capabilities"), "deviceID"));
}
