/**
 * Values of an agent's flags that nobody has to type: from the environment, as the agent reads it;
 * from the file that `install` writes; from an agent that runs; from the unit that would start one.
 * A flag of the call comes before all of them, the program's default after them.
 */
import { variable } from "../base/environment.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { exists } from "../base/exists.ts";
import { isObject, parseJson, quote } from "../base/json.ts";
import { nearest } from "../base/nearest.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { type AgentUnit, findAgentUnit } from "../mesos/agent_unit.ts";
import { findRunningAgent, type RunningAgent } from "../mesos/running_agent.ts";

/** A file of JSON: flags by name, as `{"network_cni_config_dir": "/etc/mesos/cni"}`, and lines of remarks (`//`). */
export const SETTINGS_FILE = "/etc/mesos-cni.json";

/** The flags that are looked for. */
export const FOUND_FLAGS = [
  "network_cni_config_dir",
  "network_cni_plugins_dir",
  "runtime_dir",
  "work_dir",
  "network_cni_root_dir_persist",
  "default_container_dns",
  "network_cni_metrics",
  "no_payload",
] as const;

export interface FoundValue {
  value: string;
  /** Where it comes from, as an operator would say it. */
  from: string;
  /** Whether it is of the environment, which whoever calls has given. */
  isOfCall?: true;
}

let file: ReadonlyMap<string, string> | undefined;
let agent: { found: RunningAgent | undefined } | undefined;
let unit: { found: AgentUnit | undefined } | undefined;

/**
 * The value of a flag that the call does not give. Each source is read once, and only when the
 * ones before it don't know.
 *
 * @param name with `_`, such as `runtime_dir`
 * @throws {OperatorError} `bad_settings_file`
 */
export function foundValue(name: string): FoundValue | undefined {
  return settledValue(name) ?? ofAgent(name);
}

/**
 * The same without a look for an agent, which takes one at each process of the machine: what the
 * environment or the settings file says.
 *
 * @throws {OperatorError} `bad_settings_file`
 */
export function settledValue(name: string): FoundValue | undefined {
  const inEnvironment = `MESOS_${name.toUpperCase()}`;
  const value = variable(inEnvironment);
  if (value) return { value, from: `environment ${inEnvironment}`, isOfCall: true };
  const inFile = (file ??= readSettingsFile()).get(name);
  return inFile === undefined ? undefined : { value: inFile, from: SETTINGS_FILE };
}

/**
 * The value of any flag of the machine's agent: of the one that runs, or while none does, of the
 * one that systemd would start.
 */
export function ofAgent(name: string): FoundValue | undefined {
  const running = runningAgent();
  const planned = running ? undefined : (unit ??= { found: findAgentUnit() }).found;
  const value = (running ?? planned)?.flags.get(name);
  if (value === undefined) return undefined;
  return {
    value: withoutScheme(value),
    from: running ? `running agent ${running.pid}` : planned!.file,
  };
}

/** The agent that runs on this machine, looked for once. */
export function runningAgent(): RunningAgent | undefined {
  return (agent ??= { found: findRunningAgent() }).found;
}

/** @throws {OperatorError} `bad_settings_file`, naming the key */
export function readSettingsFile(): ReadonlyMap<string, string> {
  const fail = (why: string) => new OperatorError("bad_settings_file", `${SETTINGS_FILE}: ${why}`);
  let settings: unknown;
  try {
    // Whole lines alone are remarks, so that those of an error are the file's.
    settings = exists(SETTINGS_FILE)
      ? parseJson(readTextFile(SETTINGS_FILE).replaceAll(/^\s*\/\/.*$/gm, ""))
      : {};
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw fail(messageOf(error));
  }
  if (!isObject(settings)) throw fail("must be a JSON object of flags by name");
  return new Map(
    Object.entries(settings).map(([key, value]) => {
      const name = key.replaceAll("-", "_");
      if (!(FOUND_FLAGS as readonly string[]).includes(name)) {
        const guess = nearest(name, FOUND_FLAGS);
        throw fail(`${quote(key)} is no setting${guess ? `; did you mean "${guess}"?` : ""}`);
      }
      if (typeof value === "string") return [name, value];
      if (typeof value === "boolean") return [name, String(value)];
      throw fail(`${name} must be a string, true or false, not ${quote(value)}`);
    }),
  );
}

/** stout takes a path with or without it. */
function withoutScheme(value: string): string {
  return value.startsWith("file://") ? value.slice("file://".length) : value;
}
