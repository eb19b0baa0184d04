/**
 * A plugin of ours as a process (specification section 2): environment and standard input in, one
 * JSON document or nothing on standard output.
 */
import { jsonText } from "../base/printable.ts";
import * as environment from "../base/environment.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { CniCommand, Invocation, Plugin } from "./invocation.ts";
import { isOfMesos } from "./port_mappings.ts";
import { locatePlugin } from "./locate.ts";
import type { PluginType, Registry } from "./plugin_type.ts";
import { isObject, type JsonObject, parseJson } from "../base/json.ts";
import { withOldForm } from "./result.ts";
import { DEFAULT_VERSION, isSpecVersion, SPEC_VERSIONS, versionAnswer } from "./version.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { quote } from "../base/json.ts";
import { readAllInput, writeErrorOutput, writeOutput } from "../base/streams.ts";
import { VERSION } from "../base/version.ts";

/** Bytes of a config that comes back with ADD's result; and what ADD refuses for its length, DEL must not. */
const LONGEST_RETURN = 64 << 20;

const COMMANDS: readonly string[] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];
/**
 * Calls a plugin as the environment and standard input say.
 *
 * @param registry where the plugins that it delegates to are looked up
 * @returns the exit code: 0, or 1 with an error printed
 */
export async function main(
  type: PluginType,
  load: () => Promise<Plugin>,
  registry: Registry,
): Promise<number> {
  let cniVersion: string = DEFAULT_VERSION;
  try {
    if (!variable("CNI_COMMAND")) return introduce(type);
    const command = readCommand(type);
    if (type.standard) requireEnvironment(command);
    const { config, text } = await readInput(command, type);
    if (isSpecVersion(config.cniVersion)) cniVersion = config.cniVersion;
    // Asked before each ADD, and answered without the plugin, which takes its time to load.
    if (command === "VERSION") return print(versionAnswer(type.since));
    const [{ remembered }, plugin] = await Promise.all([import("./history.ts"), load()]);
    const invocation = { ...readInvocation(command, config, registry), text };
    const about = () => ({
      by: "plugin" as const,
      command,
      plugin: type.type,
      network: typeof config.name === "string" ? config.name : "",
      container: invocation.containerId,
      interface: invocation.ifName,
    });
    const result = await remembered(about, config, () => plugin(invocation));
    if (result) print(command === "ADD" && isOfMesos(config) ? withOldForm(result) : result);
    return 0;
  } catch (error) {
    const known = error instanceof CniError ? error : unexpected(error, type);
    print(known.toJSON(cniVersion));
    return 1;
  }
}

/** The release of containernetworking/plugins whose fields and behaviour the standard plugins have. */
export const REFERENCE_VERSION = "v1.10.0";

/**
 * What a plugin says to somebody who tries it: so runtimes find out which plugins there are. Nomad
 * takes the first version that it sees for the plugin's, and nerdctl wants the first line as the
 * reference writes it.
 */
function introduce({ type, standard }: PluginType): number {
  console.error(
    (standard ? `CNI ${type} plugin ${REFERENCE_VERSION}\n` : "") +
      `CNI plugin ${type} of mesos-cni ${VERSION}\n` +
      `CNI protocol versions supported: ${SPEC_VERSIONS.join(", ")}\n` +
      "A container runtime calls it; for what an operator calls, see: mesos-cni help",
  );
  return 0;
}

/** A variable of the environment. @throws {CniError} if its bytes are no text */
function variable(name: string): string | undefined {
  try {
    return environment.variable(name);
  } catch (error) {
    throw new CniError(CNI_CODES.invalidEnvironment, messageOf(error));
  }
}

/** What each command can't do without (the reference's pkg/skel). @throws {CniError} */
function requireEnvironment(command: CniCommand): void {
  if (command === "VERSION") return;
  const ofContainer = ["ADD", "CHECK", "DEL"].includes(command)
    ? ["CNI_CONTAINERID", "CNI_IFNAME", ...command === "DEL" ? [] : ["CNI_NETNS"]]
    : [];
  const missing = [...ofContainer, "CNI_PATH"].filter((name) => !variable(name));
  if (missing.length === 0) return;
  throw new CniError(
    CNI_CODES.invalidEnvironment,
    `${missing.join(", ")} not set; the runtime must set what ${command} needs`,
  );
}

function readCommand({ standard }: PluginType): CniCommand {
  const command = variable("CNI_COMMAND");
  if (command !== undefined && COMMANDS.includes(command)) return command as CniCommand;
  if (command) {
    throw new CniError(
      standard ? CNI_CODES.invalidEnvironment : CNI_CODES.unsupportedCommand,
      `CNI_COMMAND ${quote(command)} is not supported; it must be one of ${COMMANDS.join(", ")}`,
    );
  }
  throw new CniError(CNI_CODES.invalidEnvironment, "CNI_COMMAND is not set");
}

function readInvocation(command: CniCommand, config: JsonObject, registry: Registry): Invocation {
  const searchPath = variable("CNI_PATH") ?? "";
  return {
    command,
    containerId: variable("CNI_CONTAINERID") ?? "",
    netns: variable("CNI_NETNS") || undefined,
    netnsOverride: /^(?:1|true)$/i.test(variable("CNI_NETNS_OVERRIDE") ?? ""),
    ifName: variable("CNI_IFNAME") ?? "",
    args: variable("CNI_ARGS"),
    path: variable("PATH") ?? environment.SYSTEM_PATH,
    searchPath,
    config,
    locate: (type, options = {}) => locatePlugin(type, searchPath, registry, options),
  };
}

async function readInput(
  command: CniCommand,
  { standard }: PluginType,
): Promise<{ config: JsonObject; text?: string }> {
  if (standard && command === "VERSION") return { config: {} };
  try {
    const text = await readAllInput(command === "ADD" ? undefined : LONGEST_RETURN);
    // Runtimes ask for the version without a config that matters.
    if (command === "VERSION" && text.trim() === "") return { config: {} };
    const config: unknown = parseJson(text);
    if (standard && config === null) return { config: {} };
    if (!isObject(config)) throw new Error(`not a JSON object: ${quote(config)}`);
    return { config, text };
  } catch (error) {
    throw new CniError(
      standard ? CNI_CODES.undecodable : CNI_CODES.unreadableInput,
      `standard input is not the network's config: ${messageOf(error)}`,
      undefined,
      { cause: error },
    );
  }
}

/** @returns 0, or 1 where nothing can be written; an error's code is its caller's to say */
function print(document: object): number {
  try {
    writeOutput(jsonText(document) + "\n");
    return 0;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    writeErrorOutput(`error: ${error.message}\n`);
    return 1;
  }
}

/** What was not foreseen is a defect: its stack says where to look. */
function unexpected(error: unknown, { standard }: PluginType): CniError {
  const details = error instanceof OperatorError ? undefined : (error as Error).stack;
  const code = standard ? CNI_CODES.internal : CNI_CODES.ioFailure;
  return new CniError(code, messageOf(error), details, { cause: error });
}
