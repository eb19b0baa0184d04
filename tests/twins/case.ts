/** Twins: the same calls on the reference and on our plugins, as data. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { ExceptionName } from "./exceptions.ts";

/** Where a case's files and namespaces are, the same for both. */
export const DIR = "/run/twins/dir";
export const NS1 = "/run/twins/ns1";
export const NS2 = "/run/twins/ns2";

export interface CallStep {
  /** null: CNI_COMMAND is not set. */
  command: string | null;
  /** On top of CNI_COMMAND and CNI_PATH; null: the variable is not set. */
  env: Record<string, string | null>;
  config?: JsonObject;
  /** In place of a config. */
  stdin?: string;
  /** The step, from 0, whose output is this one's prevResult. */
  prevResultFrom?: number;
  /** The plugin, where it is not the case's. */
  type?: string;
}

/** What an operator or an accident does on the host, or in a namespace. */
export type OtherStep = { host: string[] } | { in: string; argv: string[] };
export type Step = CallStep | OtherStep;

/** The release of the reference that is the judge. */
export type Release = "debians" | "newest";

export type Differs = Readonly<Partial<Record<ExceptionName, readonly number[]>>>;

export interface Twin {
  id: string;
  type: string;
  /** What differs on purpose: at which steps, from 0, which exception is seen. */
  differs?: Differs;
  /** The same, beside Debian's release alone. */
  older?: Differs;
  /** What Debian's release of the reference does otherwise than the newest, which is followed. */
  newer?: string;
  steps: Step[];
}

interface CallOptions {
  id?: string;
  ns?: string | null;
  ifName?: string;
  args?: string;
  prev?: number;
  type?: string;
}

/** A call for a container's interface. */
export function call(command: string, config: JsonObject, options: CallOptions = {}): CallStep {
  const { id = "ctr-1", ns = NS1, ifName = "eth0", args, prev, type } = options;
  return {
    command,
    env: {
      CNI_CONTAINERID: id,
      CNI_NETNS: ns,
      CNI_IFNAME: ifName,
      ...args === undefined ? {} : { CNI_ARGS: args },
    },
    config,
    ...prev === undefined ? {} : { prevResultFrom: prev },
    ...type === undefined ? {} : { type },
  };
}

export const host = (line: string): OtherStep => ({ host: line.split(" ") });
export const inside = (line: string, ns = NS1): OtherStep => ({ in: ns, argv: line.split(" ") });

/** ADD, CHECK, DEL, and DEL again. */
export function life(config: JsonObject, options: CallOptions = {}): Step[] {
  return [
    call("ADD", config, options),
    call("CHECK", config, { ...options, prev: 0 }),
    call("DEL", config, { ...options, prev: 0 }),
    call("DEL", config, options),
  ];
}

/** ADD and DEL, for versions that have no CHECK. */
export function short(config: JsonObject, options: CallOptions = {}): Step[] {
  return [call("ADD", config, options), call("DEL", config, options)];
}
