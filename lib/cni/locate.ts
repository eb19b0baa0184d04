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
  if (!isBuiltIn(registry, type)) return processPlugin(findPlugin(type, searchPath), options);
  const load = registry.get(type)!.load!;
  const call: Plugin = async (invocation) => await (await load())(invocation);
  let file: string;
  try {
    file = findPlugin(type, searchPath);
  } catch {
    return call;
  }
  return isThisProgram(file) ? call : processPlugin(file, options);
}

/**
 * The file that runs, by its device and inode: they stay when an upgrade takes its name away, and
 * the kernel then calls it "(deleted)".
 */
const OWN = Deno.build.os === "linux" ? Deno.statSync("/proc/self/exe") : undefined;

function isThisProgram(file: string): boolean {
  const other = Deno.statSync(file);
  return OWN?.dev === other.dev && OWN.ino === other.ino;
}
