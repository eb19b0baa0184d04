/** Finding the plugin of a type: a program of the plugins' directories, or part of this one. */
import { findPlugin } from "./find.ts";
import type { Plugin } from "./invocation.ts";
import { isBuiltIn, type Registry } from "./plugin_type.ts";
import { type ProcessOptions, processPlugin } from "./process.ts";

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
  if (file !== undefined) return processPlugin(file, options);
  const load = registry.get(type)!.load!;
  return async (invocation) => await (await load())(invocation);
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
  try {
    const file = findPlugin(type, searchPath);
    return isThisProgram(file) ? undefined : file;
  } catch {
    return undefined;
  }
}

/**
 * The file that runs, by its device and inode: they stay when an upgrade takes its name away, and
 * the kernel then calls it "(deleted)".
 */
const OWN = Deno.build.os === "linux" ? Deno.statSync("/proc/self/exe") : undefined;

/** Whether a file that is there is the program that runs. */
export function isThisProgram(file: string): boolean {
  const other = Deno.statSync(file);
  return OWN?.dev === other.dev && OWN.ino === other.ino;
}
