/** Which versions of the specification a plugin speaks (VERSION, specification section 2). */
import { stateKey } from "../base/exists.ts";
import { log } from "../base/log.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { type Network, typesIn } from "./config.ts";
import { processPlugin } from "./process.ts";

/** How long, in ms, a plugin may take to tell. */
const LONGEST_ANSWER = 5_000;

/**
 * What each plugin file has answered, by its identity: a file that was replaced is asked again.
 * Undefined stands for one that gave no answer.
 */
const answers = new Map<string, Promise<readonly string[] | undefined>>();

/**
 * Refuses a network whose version one of its plugins does not speak: its ADD could only fail, and
 * would leave a DEL that can only fail. A plugin that can't tell is taken to speak it.
 *
 * @param fileOf a type's program; undefined for one that is part of this program
 * @throws {OperatorError} `unsupported_version`
 */
export async function requireVersion(
  network: Network,
  file: string,
  environment: { path: string; searchPath: string },
  fileOf: (type: string) => string | undefined,
): Promise<void> {
  // A config without a version goes to the plugins without one: they have always taken that.
  if (network.raw.cniVersion === undefined && network.raw.cniVersions === undefined) return;
  const types = network.plugins.flatMap(({ raw }) => typesIn(raw));
  await Promise.all(types.map(async (type) => {
    const path = fileOf(type);
    if (path === undefined) return;
    const versions = await remembered(path, environment);
    if (!versions || versions.includes(network.cniVersion)) return;
    throw new OperatorError(
      "unsupported_version",
      `${file}: network ${network.name}: plugin ${path} does not speak version ` +
        `${network.cniVersion} of CNI, but ${
          versions.join(", ") || "none"
        }: set "cniVersion" to one ` +
        `that all plugins of the network speak, or install a newer ${type}`,
    );
  }));
}

function remembered(path: string, environment: Parameters<typeof versionsOf>[1]) {
  const identity = stateKey(Deno.statSync(path));
  const answer = answers.get(identity) ?? versionsOf(path, environment);
  answers.set(identity, answer);
  return answer;
}

/** What a plugin says to VERSION; undefined for one that can't tell, or is no plugin. */
export async function versionsOf(
  file: string,
  { path, searchPath }: { path: string; searchPath: string },
): Promise<readonly string[] | undefined> {
  try {
    const printed = await processPlugin(file, { timeoutMs: LONGEST_ANSWER })({
      command: "VERSION",
      containerId: "",
      ifName: "",
      path,
      searchPath,
      config: { cniVersion: "1.0.0" },
    });
    const versions = printed?.supportedVersions;
    return Array.isArray(versions) && versions.every((one) => typeof one === "string")
      ? versions as string[]
      : undefined;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("a plugin does not tell its versions", { file, error: messageOf(error) });
    return undefined;
  }
}
