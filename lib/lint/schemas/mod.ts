/** The plugins that are known, by type. */
import { lookup } from "../../base/json.ts";
import type { PluginNode } from "../document.ts";
import type { Schema } from "../schema.ts";
import { IPAM } from "./ipam.ts";
import { MAIN } from "./main.ts";
import { META } from "./meta.ts";
import { closest } from "../../base/nearest.ts";
import { OTHERS, THIRD_PARTY } from "./third_party.ts";

const PLUGINS: ReadonlyMap<string, Schema> = new Map(
  Object.entries({ ...MAIN, ...META, ...IPAM, ...THIRD_PARTY }),
);

export const PLUGIN_TYPES: readonly string[] = [...PLUGINS.keys()];

export function schemaNamed(type: string | undefined): Schema | undefined {
  return type === undefined ? undefined : PLUGINS.get(type);
}

/** Whether a type is known, if only by its name. */
export function isNamed(type: string): boolean {
  return PLUGINS.has(type) || OTHERS.has(type.replace(/\.exe$/, ""));
}

/** What people call a type, without dashes. */
const OTHER_NAMES = {
  portmapper: "portmap",
  portmapping: "portmap",
  mesosportmapper: "mesos-cni-port-mapper",
  cniportmapper: "mesos-cni-port-mapper",
};

/**
 * The known type that `type` is most likely a misspelling of; undefined if it is one, or may as well
 * be the name of a plugin that is not known here: bridge2, vxlan, firewalld.
 */
export function misspeltType(type: string): string | undefined {
  if (isNamed(type)) return undefined;
  const bare = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, "");
  const same = PLUGIN_TYPES.find((one) => bare(one) === bare(type)) ??
    lookup(OTHER_NAMES, bare(type));
  if (same) return same;
  const near = closest(type, PLUGIN_TYPES);
  if (!near || near.replace(/[0-9]+$/, "") === type.replace(/[0-9]+$/, "")) return undefined;
  // A letter more makes another word of it, unless it is the same letter twice.
  const hasOneMore = [...type].some((letter, i) =>
    /[a-z0-9]/.test(letter) && letter !== type[i - 1] && letter !== type[i + 1] &&
    type.slice(0, i) + type.slice(i + 1) === near
  );
  return hasOneMore ? undefined : near;
}

/** What is known of a plugin's own fields; the delegate of flannel is a bridge unless it says. */
export function schemaOf(plugin: PluginNode): Schema | undefined {
  return schemaNamed(plugin.type ?? (plugin.role === "partial" ? "bridge" : undefined));
}

/** What is known of the fields of a plugin's `ipam`. */
export function ipamSchemaOf(plugin: PluginNode): Schema | undefined {
  const schema = schemaNamed(plugin.ipamType);
  return schema?.kind === "ipam" ? schema : undefined;
}

/** Whether all keys are known that the plugin and its IPAM plugin read. */
export function isKnown(plugin: PluginNode): boolean {
  return Boolean(schemaOf(plugin)?.complete) &&
    (!plugin.ipamType || Boolean(ipamSchemaOf(plugin)?.complete));
}

/** Whether the plugin makes an interface that gets no address. */
export function makesNoAddress(plugin: PluginNode): boolean {
  const { type, role, ipam } = plugin;
  if (!type || !["bridge", "macvlan", "vlan", "host-device", "tap"].includes(type)) return false;
  const isTop = role === "single" || role === "delegate" ||
    (role === "listed" && plugin.index === 0);
  return isTop && (!ipam || (ipam.type === "object" && ipam.children!.length === 0));
}
