/** Finding the plugin of a type: a program of the plugins' directories, or part of this one. */
import { type FileState, isGone, stateOf } from "../kernel/proc.ts";
import { messageOf } from "../base/error.ts";
import { log } from "../base/log.ts";
import { findPlugin } from "./find.ts";
import { findLauncher } from "./launcher.ts";
import type { Plugin } from "./invocation.ts";
import { isBuiltIn, type Registry } from "./plugin_type.ts";
import { type ProcessOptions, processPlugin } from "./process.ts";
import { tried, unless } from "../base/unless.ts";

/**
 * The plugin of a type. A program of the plugins' directories is executed, unless it is this
 * very program: then its plugin is called without a process. A built-in that is in no directory
 * works too.
 *
 * @throws {OperatorError} if there is no such plugin
 */
export function locatePlugin(
  type: string,
  searchPath: string,
  registry: Registry,
  options: ProcessOptions,
): Plugin {
  const file = pluginFile(type, searchPath, registry);
  if (file !== undefined) return told(type, file, processPlugin(file, options));
  const load = registry.get(type)!.load!;
  return told(type, "built in", async (invocation) => await (await load())(invocation));
}

/** A plugin whose calls the log tells of, with their time. */
function told(type: string, program: string, plugin: Plugin): Plugin {
  return async (invocation) => {
    const { command, containerId, ifName } = invocation;
    const started = performance.now();
    const tell = (outcome: string) =>
      log.debug(`${command} by ${type}`, {
        program,
        container: containerId || undefined,
        interface: ifName || undefined,
        outcome,
        ms: Math.round(performance.now() - started),
      });
    try {
      const result = await plugin(invocation);
      tell("done");
      return result;
    } catch (error) {
      tell(messageOf(error));
      throw error;
    }
  };
}

/**
 * The program that the plugin of a type is; undefined where it is part of this one.
 *
 * @throws {OperatorError} if there is no such plugin
 */
export function pluginFile(
  type: string,
  searchPath: string,
  registry: Registry,
): string | undefined {
  if (!isBuiltIn(registry, type)) return findPlugin(type, searchPath);
  return tried(() => {
    const file = findPlugin(type, searchPath);
    return isThisProgram(file) ? undefined : file;
  }, undefined);
}

/** The file that runs, as it is first asked for: undefined where an upgrade has taken its name away. */
let own: FileState | undefined | "unknown" = "unknown";

/** Whether a file that is there is the program that runs, or a launcher that becomes it. */
export function isThisProgram(file: string): boolean {
  if (own === "unknown") own = find(Deno.execPath());
  const launcher = findLauncher(file);
  if (launcher && !launcher.isIntact) return false;
  const other = launcher ? find(launcher.program) : stateOf(file);
  return own !== undefined && own.device === other?.device && own.inode === other.inode;
}

function find(path: string): FileState | undefined {
  return unless(isGone, () => stateOf(path));
}
