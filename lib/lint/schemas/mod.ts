/** The plugins that are known, by type. */
import { lookup } from "../../base/json.ts";
import type { PluginNode } from "../document.ts";
import type { Schema } from "../schema.ts";
import { IPAM } from "./ipam.ts";
import { MAIN } from "./main.ts";
import { META } from "./meta.ts";
import { closest } from "../../base/nearest.ts";
import { OTHER_TYPES, THIRD_PARTY } from "./third_party.ts";

const PLUGINS: ReadonlyMap<string, Schema> = new Map(
  Object.entries({ ...MAIN, ...META, ...IPAM, ...THIRD_PARTY }),
);

export const PLUGIN_TYPES: readonly string[] = [...PLUGINS.keys()];

export function schemaNamed(type: string | undefined): Schema | undefined {
  return type === undefined ? undefined : PLUGINS.get(type);
}

/** What people call a type, without dashes. */
const OTHER_NAMES = {
  portmapper: "portmap",
  portmapping: "portmap",
  mesosportmapper: "mesos-cni-port-mapper",
  cniportmapper: "mesos-cni-port-mapper",
};

/** The type that `type` is a misspelling of; undefined if it is one, or resembles none. */
export function misspeltType(type: string): string | undefined {
  if (PLUGINS.has(type) || OTHER_TYPES.includes(type)) return undefined;
  const bare = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, "");
  const known = [...PLUGINS.keys(), ...OTHER_TYPES];
  const same = known.find((one) => bare(one) === bare(type)) ??
    lookup(OTHER_NAMES, bare(type));
  if (same) return same;
  const near = closest(type, known);
  // A number or a suffix makes another name of it: bridge2, my-bridge.
  if (!near || near.length < 3) return undefined;
  const [a, b] = [type, near].map((text) => text.replaceAll(/[0-9]+$/g, ""));
  return a === b ? undefined : near;
}

/**
 * Whether a name with one letter more than a known one can be another plugin's: firewalld, vxlan.
 * Twice the same letter is a slip of the fingers.
 */
export function mayBeAnother(type: string, right: string): boolean {
  if (type.length !== right.length + 1) return false;
  for (let i = 0; i < type.length; i++) {
    if (type.slice(0, i) + type.slice(i + 1) === right) {
      return type[i] !== type[i - 1] && type[i] !== type[i + 1] && /[a-z0-9]/.test(type[i]!);
    }
  }
  return false;
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

/** Whether the plugin makes an interface that gets no address. */
export function makesNoAddress(plugin: PluginNode): boolean {
  const { type, role, ipam } = plugin;
  if (!type || !["bridge", "macvlan", "host-device", "tap"].includes(type)) return false;
  const isTop = role === "single" || role === "delegate" ||
    (role === "listed" && plugin.index === 0);
  return isTop && (!ipam || (ipam.type === "object" && ipam.children!.length === 0));
}
