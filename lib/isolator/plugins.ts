/** Finding the plugins of a network: programs in the plugins' directories, or part of this one. */
import { findPlugin } from "../cni/find.ts";
import type { Plugin } from "../cni/invocation.ts";
import { type ProcessOptions, processPlugin } from "../cni/process.ts";

/** Plugins that this program contains, by type; each is loaded when it is first called. */
export type BuiltIns = Readonly<Record<string, () => Promise<Plugin>>>;

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
  builtIns: BuiltIns,
  options: ProcessOptions,
): Plugin {
  const builtIn = Object.hasOwn(builtIns, type) ? builtIns[type] : undefined;
  if (!builtIn) return processPlugin(findPlugin(type, searchPath), options);
  const call: Plugin = async (invocation) => await (await builtIn())(invocation);
  let file: string;
  try {
    file = findPlugin(type, searchPath);
  } catch {
    return call;
  }
  return isThisProgram(file) ? call : processPlugin(file, options);
}

function isThisProgram(file: string): boolean {
  const [own, other] = [Deno.statSync(Deno.execPath()), Deno.statSync(file)];
  return own.dev === other.dev && own.ino === other.ino;
}
