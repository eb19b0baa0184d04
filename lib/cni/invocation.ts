/** One call of a plugin, as a value: the same for a process and for a plugin inside this program. */
import type { JsonObject } from "../base/json.ts";
import type { FirewallTransaction } from "../firewall/transaction.ts";

export type CniCommand = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** The parameters of specification section 2; GC, STATUS and VERSION have no container. */
export interface Invocation {
  command: CniCommand;
  /** CNI_CONTAINERID; empty: not set. */
  containerId: string;
  /** CNI_NETNS, the path of the network namespace; absent for a DEL after the namespace is gone. */
  netns?: string;
  /** CNI_NETNS_OVERRIDE: the namespace may be that of the plugin itself. */
  netnsOverride?: boolean;
  /** CNI_IFNAME; empty: not set. */
  ifName: string;
  /** CNI_ARGS, `K=V;K=V`. */
  args?: string;
  /** PATH, since plugins run iptables and the like. */
  path: string;
  /** CNI_PATH, where the plugin finds the plugins that it delegates to. */
  searchPath: string;
  /** What the plugin reads on standard input. */
  config: JsonObject;
  /** The same as it came, where it came as text: a key that stands there twice is one in `config`. */
  text?: string;
  /** Of an ADD, whose rules its caller commits with those of others; and undoes, if that fails. */
  firewall?: FirewallTransaction;
  /** How the plugins that this one delegates to are found, built in or not. */
  locate: Locate;
}

/** Finds the plugin of a type. @throws {OperatorError} if there is none */
export type Locate = (type: string, options?: StartOptions) => Plugin;

/** What the caller wants of a process that a plugin is started as. */
export interface StartOptions {
  /** Starts the process, for a caller that has more to do at that moment. */
  start?: (spawn: () => Deno.ChildProcess) => Deno.ChildProcess;
}

/**
 * A plugin: resolves to what it prints (nothing for DEL and CHECK), and rejects with a
 * `CniError`. It must not change the invocation.
 */
export type Plugin = (invocation: Invocation) => Promise<JsonObject | undefined>;
