/** Putting this program on a machine, and taking it away again. */
import { dirname, join } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { knownContainers } from "../containers/ids.ts";
import type { Layout } from "../containers/layout.ts";
import { FileLock } from "../kernel/lock.ts";
import { listOwners } from "../ports/mod.ts";
import {
  type Change,
  type Piece,
  programPiece,
  removePiece,
  symlinkPiece,
  textPiece,
} from "./files.ts";
import { type PluginChoice, pluginLinks, restoreAside } from "./plugin_links.ts";
import { readManifest, removeManifest, writeManifest } from "./manifest.ts";
import { units } from "./units.ts";

const PLUGIN = "mesos-cni-port-mapper";
const PROGRAM = "mesos-cni";
/** How many programs stay: today's, and the one that may be starting at this very moment. */
const KEPT = 2;
/** Held by whoever installs or uninstalls. Where it is, a reboot removes it. */
const LOCK = "/run/mesos-cni/install.lock";
const PATIENCE_MS = 60_000;

export interface InstallOptions {
  binDir: string;
  /** Directories of plugins, each of which gets the port mapper. */
  pluginsDirs: readonly string[];
  /** Types of the other plugins that this program contains, and which of them get a link. */
  types: readonly string[];
  plugins: PluginChoice;
  unitDir: string;
  /** Where the manual page and the completions go, by the usual names below it. */
  shareDir: string;
  /** The manual page and the completions, by their paths below `shareDir`. */
  shared: Readonly<Record<string, string>>;
  /** The file of settings, and what is to be in it. */
  settings: { path: string; text: string };
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
 *
 * @param dryRun only says what would be made or changed
 * @throws {OperatorError} before anything is changed, if something is in the way
 */
export async function install(options: InstallOptions, dryRun = false): Promise<Placed[]> {
  const { binDir, pluginsDirs, unitDir, shareDir, shared, settings } = options;
  const bytes = await Deno.readFile(Deno.execPath());
  const file = join(binDir, `${PROGRAM}-${await contentName(bytes)}`);
  const program = join(binDir, PROGRAM);
  const pieces: Piece[] = [
    programPiece(file, bytes),
    symlinkPiece(program, file),
    ...pluginsDirs.map((dir) => symlinkPiece(join(dir, PLUGIN), program)),
    ...pluginLinks(options.types, pluginsDirs, program, options.plugins),
    ...Object.entries(units({ binary: program }))
      .map(([name, text]) => textPiece(join(unitDir, name), text)),
    ...Object.entries(shared).map(([name, text]) => textPiece(join(shareDir, name), text)),
    textPiece(settings.path, settings.text),
  ];
  // All of it is looked at before any of it is changed.
  const placed = pieces.map(({ path, change }) => ({ path, change: change() }));
  if (dryRun) return placed;

  using _ = await lockInstallation();
  const before = readManifest()?.files ?? [];
  const isProgram = (path: string) =>
    dirname(path) === binDir && path.startsWith(join(binDir, `${PROGRAM}-`));
  const programs = [...before.filter((path) => path !== file && isProgram(path)), file];
  const old = programs.splice(0, Math.max(0, programs.length - KEPT));
  const others = before.filter((path) => !isProgram(path));
  const own = pieces.map(({ path }) => path).filter((path) =>
    path !== file && path !== settings.path
  );
  // Written first: what is interrupted can be undone too.
  writeManifest([...old, ...programs, ...others, ...own], settings);
  // Once more, since whoever held the lock may have changed it.
  for (const piece of pieces) if (piece.change() !== "unchanged") piece.place();
  for (const path of old) removePiece(path);
  writeManifest([...programs, ...others, ...own], settings);
  return placed;
}

export interface Uninstalled {
  removed: string[];
  /** The file of settings, where somebody has changed it since. */
  kept: string[];
}

/**
 * Removes what `install` made.
 *
 * @param dryRun only says what would be removed
 * @throws {OperatorError} `attached` while there are containers, whose cleanup needs the plugin
 */
export async function uninstall(
  layouts: readonly Layout[],
  dryRun = false,
): Promise<Uninstalled> {
  using _ = await lockInstallation();
  refuseWhileAttached(layouts);
  const manifest = readManifest();
  const settings = manifest?.settings;
  const isOwn = settings !== undefined && textPiece(settings.path, settings.text).change() ===
      "unchanged";
  const paths = [...manifest?.files ?? [], ...isOwn ? [settings.path] : []].toReversed();
  const kept = settings && !isOwn && isThere(settings.path) ? [settings.path] : [];
  if (dryRun) return { removed: paths.filter(isThere), kept };
  const removed = paths.filter(removePiece);
  paths.forEach(restoreAside);
  removeManifest();
  return { removed, kept };
}

/** A container's cleanup needs the plugin, whichever runtime it is of. */
function refuseWhileAttached(layouts: readonly Layout[]): void {
  const containers = layouts.flatMap((layout) =>
    knownContainers(layout).map((id) => ({ id, place: layout.containers as string }))
  );
  const mapped = listOwners().filter(({ containerId }) =>
    !containers.some(({ id }) => id === containerId)
  ).map(({ containerId, network }) => ({
    id: containerId,
    place: `the records of port mappings (network ${network})`,
  }));
  const all = [...containers, ...mapped];
  const [first] = all;
  if (!first) return;
  throw new OperatorError(
    "attached",
    `${all.length} container${all.length > 1 ? "s are" : " is"} attached, such as ${first.id} in ` +
      `${first.place}: clean up first, since that needs the plugin (mesos-cni gc shows which are ` +
      "dead; another runtime's are removed by it)",
  );
}

/** Two at once would each think the other's files foreign. */
async function lockInstallation(): Promise<FileLock> {
  makeDirectory(dirname(LOCK), 0o700);
  const lock = await FileLock.take(LOCK, PATIENCE_MS);
  if (lock) return lock;
  throw new OperatorError("busy", `another mesos-cni install or uninstall holds ${LOCK}`);
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false; // or below something that is no directory
  }
}

/** The beginning of the SHA-256 of a file. */
async function contentName(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest).subarray(0, 6)]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
