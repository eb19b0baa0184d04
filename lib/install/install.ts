/** Putting this program on a machine, and taking it away again. */
import { dirname, join } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { knownContainers } from "../containers/ids.ts";
import type { PluginType } from "../cni/plugin_type.ts";
import type { Layout } from "../containers/layout.ts";
import { FileLock } from "../kernel/lock.ts";
import { listOwners } from "../ports/mod.ts";
import { log } from "../base/log.ts";
import {
  type Change,
  isStillOurs,
  look,
  type Piece,
  programPiece,
  removePiece,
  sha256,
  symlinkPiece,
  textPiece,
} from "./files.ts";
import { packagesOf } from "./packages.ts";
import {
  hasAside,
  isHalfway,
  leave,
  mapperLauncher,
  type PluginChoice,
  pluginLaunchers,
  takeAway,
} from "./plugin_launchers.ts";
import { type Entry, readManifest, removeManifest, writeManifest } from "./manifest.ts";
import { METRICS_FILE, units } from "./units.ts";

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
  /** The other plugins that this program contains, and which of them get a launcher. */
  types: readonly PluginType[];
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
  const file = join(binDir, `${PROGRAM}-${sha256(bytes).slice(0, 12)}`);
  const program = join(binDir, PROGRAM);
  const wanted: Piece[] = [
    programPiece(file, bytes),
    symlinkPiece(program, file),
    ...pluginsDirs.map((dir) => mapperLauncher(dir, program)),
    ...pluginLaunchers(options.types, pluginsDirs, program, options.plugins),
    ...Object.entries(units(program))
      .map(([name, text]) => textPiece(join(unitDir, name), text)),
    ...Object.entries(shared).map(([name, text]) => textPiece(join(shareDir, name), text)),
    textPiece(settings.path, settings.text),
  ];
  const pieces = withoutPackaged(wanted);
  // All of it is looked at before any of it is changed.
  const back = options.plugins === "none"
    ? byPath(recorded()).filter(({ entry, isOurs }) => hasAside(entry.path) && isOurs())
    : [];
  const placed: Placed[] = [
    ...pieces.map(({ path, change }) => ({ path, change: change() })),
    ...back.map(({ entry: { path } }) => ({ path, change: "changed" as const })),
  ];
  if (dryRun) return placed;

  using _ = await lockInstallation();
  // A package's settings are its own, and no uninstall's.
  const own = pieces.some(({ path }) => path === settings.path) ? settings : undefined;
  const before = recorded();
  const halfway = byPath(before).filter(({ entry, isOurs }) =>
    // What is placed is made whole.
    !pieces.some(({ path }) => path === entry.path) && isHalfway(entry) && !isOurs()
  );
  const isProgram = ({ path }: Entry) =>
    dirname(path) === binDir && path.startsWith(join(binDir, `${PROGRAM}-`));
  const entries = pieces.map((piece) => piece.entry());
  const programs = [
    ...before.filter((entry) => entry.path !== file && isProgram(entry)),
    ...entries.filter(({ path }) => path === file),
  ];
  const old = programs.splice(0, Math.max(0, programs.length - KEPT));
  const others = before.filter((entry) => !isProgram(entry)).map((entry) => ({
    ...entry,
    // What dpkg was told once stays so, whatever is there by now.
    ...entries.find(({ path }) => path === entry.path),
  }));
  const known = new Set(others.map(({ path }) => path));
  const added = entries.filter(({ path }) =>
    path !== file && path !== settings.path && !known.has(path)
  );
  // Written first, beside what was there before: what is interrupted can be undone too.
  writeManifest([...before, ...programs, ...others, ...added], own);
  // Once more, since whoever held the lock may have changed it.
  for (const piece of pieces) if (piece.change() !== "unchanged") await piece.place();
  for (const entry of old) if (isStillOurs(entry)) removePiece(entry.path);
  for (const { entry, isOurs } of back) if (isOurs()) await takeAway(entry);
  for (const { entry } of halfway) await leave(entry);
  const gone = new Set([...back, ...halfway].map(({ entry }) => entry.path));
  writeManifest([...programs, ...others, ...added].filter(({ path }) => !gone.has(path)), own);
  return placed;
}

function recorded(): Entry[] {
  return readManifest()?.files ?? [];
}

/**
 * What is on record of each path, as one entry: of a path where one thing was put in the place of another
 * by a call that was killed, there are several, and what is there is the one or the other.
 */
function byPath(files: readonly Entry[]): { entry: Entry; isOurs: () => boolean }[] {
  return [...Map.groupBy(files, ({ path }) => path).values()].map((entries) => ({
    entry: Object.assign({}, ...entries),
    isOurs: () => entries.some(isStillOurs),
  }));
}

/** What a package owns is the package's, but for programs that it is told are moved aside. */
function withoutPackaged(pieces: readonly Piece[]): Piece[] {
  const owners = packagesOf(pieces.filter(({ isAside }) => !isAside).map(({ path }) => path));
  for (const [path, owner] of owners) {
    log.warning("a file of a Debian package is left as it is", { file: path, package: owner });
  }
  return pieces.filter(({ path }) => !owners.has(path));
}

/**
 * Removes what `install` made.
 *
 * @param dryRun only says what would be removed
 * @returns also what is `kept`: what somebody has changed, a package's, an operator's
 * @throws {OperatorError} `attached` while there are containers, whose cleanup needs the plugin
 */
export async function uninstall(layouts: readonly Layout[], dryRun = false) {
  using _ = await lockInstallation();
  refuseWhileAttached(layouts);
  const settings = readManifest()?.settings;
  const isOwn = settings !== undefined && textPiece(settings.path, settings.text).change() ===
      "unchanged";
  const own: Entry[] = isOwn ? [{ path: settings.path }] : [];
  const left: Entry[] = settings && !isOwn && look(settings.path) ? [{ path: settings.path }] : [];
  for (const { entry, isOurs } of byPath(recorded().toReversed())) {
    (!look(entry.path) || isOurs() ? own : left).push(entry);
  }
  const kept = left.map(({ path }) => path);
  if (dryRun) return { removed: own.map(({ path }) => path).filter(look), kept };
  const removed: string[] = [];
  for (const entry of own) if (await takeAway(entry)) removed.push(entry.path);
  for (const entry of left) await leave(entry);
  // The timer's, which nothing would renew: of old metrics, alerts speak.
  if (removePiece(METRICS_FILE)) removed.push(METRICS_FILE);
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
function lockInstallation(): Promise<FileLock> {
  makeDirectory(dirname(LOCK), 0o700);
  return FileLock.require(LOCK, PATIENCE_MS, "another mesos-cni install or uninstall");
}
