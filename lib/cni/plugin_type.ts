/**
 * What this program knows of plugins by their type: data, so that nothing is loaded to look
 * something up. The list itself is plugins/registry.ts; main.ts hands it down.
 */
import type { JsonObject } from "../base/json.ts";
import type { HostRules } from "../firewall/host_rules.ts";
import type { Plugin } from "./invocation.ts";
import type { Result } from "./result.ts";
import type { SpecVersion } from "./version.ts";

/** Where host-local keeps its leases, if its config says nothing (`dataDir`). */
export const DATA_DIR = "/var/lib/cni/networks";

/** What an attachment by a plugin may leave behind on a host. */
export interface Traces {
  /** A bridge, by name. */
  bridge?: string;
  /** The directory of an address store. */
  addressStore?: string;
  /** A chain of the nat table whose rules carry their container's comment. */
  natChain?: string;
}

export interface PluginType {
  type: string;
  /** main makes an interface, ipam gives it addresses, meta changes what another one made. */
  kind: "main" | "ipam" | "meta";
  /**
   * Of containernetworking/plugins: as a process, it answers a wrong call as those do, with the
   * specification's codes, and a call without CNI_COMMAND by saying what it is.
   */
  standard?: boolean;
  /** The oldest version of the specification that it speaks, where it is not the first. */
  since?: SpecVersion;
  /** The plugin as a function; absent for a type that is known, but not part of this program. */
  load?: () => Promise<Plugin>;
  /**
   * Leads host ports to the container: those that Mesos puts into `args`, or only those of the
   * capability `portMappings`.
   */
  mapsPorts?: "mesos" | "capability";
  /** What it leaves, by its config, with the network's name where that is part of a path. */
  traces?: (config: JsonObject, network: string) => Traces;
  /**
   * What is missing of the rules of the type's plugin, whichever program that is, as the code of a cause;
   * undefined where nothing is.
   */
  missing?: (
    config: JsonObject,
    attachment: LiveAttachment,
    rules: HostRules,
  ) => Promise<LostRules | undefined>;
  /** Puts back what is missing. @returns whether it could */
  repair?: (config: JsonObject, attachment: LiveAttachment, lost: LostRules) => Promise<boolean>;
}

/** What of a plugin's rules may be missing, as the code of a cause. */
export type LostRules = "masquerade_gone" | "passage_gone" | "isolation_gone";

/** An attachment whose container goes on. */
export interface LiveAttachment {
  network: string;
  containerId: string;
  ifName: string;
  /** Of the last plugin's ADD. */
  result: Result;
  /** Where programs are looked for. */
  path: string;
}

/** All known types by name. */
export type Registry = ReadonlyMap<string, PluginType>;

/** Whether this program contains the plugin of a type. */
export function isBuiltIn(registry: Registry, type: string): boolean {
  return registry.get(type)?.load !== undefined;
}
