/** Capabilities: what a plugin asks of the runtime, which gives it with each call. */
import type { Node } from "jsonc-parser";
import { closest } from "../base/nearest.ts";
import { type PluginNode, PORT_MAPPER } from "./document.ts";
import { entries } from "./tree.ts";

/** What runtimes give: https://www.cni.dev/docs/conventions/ and the plugins' own documents. */
export const CAPABILITIES = [
  ..."portMappings ipRanges bandwidth dns ips mac aliases infinibandGUID deviceID".split(" "),
  ..."cgroupPath CNIDeviceInfoFile io.kubernetes.cri.pod-annotations tc podIps".split(" "),
];

/** Whom a capability is for. */
export const TAKERS: Readonly<Record<string, readonly string[]>> = {
  portMappings: ["portmap", PORT_MAPPER],
  bandwidth: ["bandwidth"],
};

/** Capabilities that no runtime gives, with the name that was meant. */
export function* unknownCapabilities(plugin: PluginNode): Generator<{ key: Node; right: string }> {
  for (const { key, name } of entries(plugin.field("capabilities"))) {
    if (CAPABILITIES.includes(name)) continue;
    const same = CAPABILITIES.find((one) => one.toLowerCase() === name.toLowerCase());
    const right = same ?? (name.length < 4 ? undefined : closest(name, CAPABILITIES));
    if (right) yield { key, right };
  }
}
