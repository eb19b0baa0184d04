/** Putting this program on a machine, and taking it away again. */
import { dirname, join } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { knownContainers } from "../containers/ids.ts";
import type { Layout } from "../containers/layout.ts";
import { type Change, placeProgram, placeSymlink, placeText } from "./files.ts";
import { readManifest, removeManifest, writeManifest } from "./manifest.ts";
import { units } from "./units.ts";

const PLUGIN = "mesos-cni-port-mapper";
const PROGRAM = "mesos-cni";
/** How many programs stay: today's, and the one that may be starting at this very moment. */
const KEPT = 2;

export interface InstallOptions {
  binDir: string;
  configDir: string;
  /** Directories of plugins, each of which gets the port mapper. */
  pluginsDirs: readonly string[];
  unitDir: string;
}

export interface Placed {
  path: string;
  change: Change;
}

/**
 * Installs the running program; repeating it changes nothing.
 *
 * The program is a file named after its content, and `mesos-cni` a symlink to it: a compiled
 * program opens its own file once more while it starts, so an upgrade must not take that file's
 * name away.
 */
export async function install(options: InstallOptions): Promise<Placed[]> {
  const source = Deno.execPath();
  const file = join(options.binDir, `${PROGRAM}-${await contentName(source)}`);
  const program = join(options.binDir, PROGRAM);
  const before = readManifest()?.files ?? [];
  const links = [program, ...options.pluginsDirs.map((dir) => join(dir, PLUGIN))];
  const texts = Object.entries(units({
    binary: program,
    configDir: options.configDir,
    pluginsDir: options.pluginsDirs.join(":"),
  })).map(([name, text]) => [join(options.unitDir, name), text] as const);

  const programs = [
    ...before.filter((path) => path !== file && isProgram(path, options.binDir)),
    file,
  ];
  const old = programs.splice(0, Math.max(0, programs.length - KEPT));
  // Written first: what is interrupted can be undone too.
  const others = before.filter((path) => !isProgram(path, options.binDir));
  writeManifest([...old, ...programs, ...others, ...links, ...texts.map(([path]) => path)]);
  const placed = [
    { path: file, change: placeProgram(source, file) },
    ...links.map((path) => ({
      path,
      change: placeSymlink(path, path === program ? file : program),
    })),
    ...texts.map(([path, text]) => ({ path, change: placeText(path, text) })),
  ];
  for (const path of old) remove(path);
  writeManifest([...programs, ...others, ...links, ...texts.map(([path]) => path)]);
  return placed;
}

/**
 * Removes what `install` made.
 *
 * @returns the paths that were removed
 * @throws {OperatorError} `attached` while there are containers, whose cleanup needs the plugin
 */
export function uninstall(layouts: readonly Layout[]): string[] {
  const containers = layouts.flatMap((layout) =>
    knownContainers(layout).map((id) => ({ id, layout }))
  );
  const [first] = containers;
  if (first) {
    throw new OperatorError(
      "attached",
      `${containers.length} container${
        containers.length > 1 ? "s are" : " is"
      } attached, such as ` +
        `${first.id} in ${first.layout.containers}: clean up first, since that needs the plugin ` +
        "(mesos-cni isolator gc shows which are dead)",
    );
  }
  const removed = (readManifest()?.files ?? []).toReversed().filter(remove);
  removeManifest();
  return removed;
}

function isProgram(path: string, binDir: string): boolean {
  return dirname(path) === binDir && path.startsWith(join(binDir, `${PROGRAM}-`));
}

function remove(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The beginning of the SHA-256 of a file. */
async function contentName(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return [...new Uint8Array(digest).subarray(0, 6)]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
