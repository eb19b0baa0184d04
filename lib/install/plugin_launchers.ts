/** Launchers by which a runtime finds the standard plugins that this program contains. */
import { join } from "@std/path";
import { findLauncher, launcherBytes, launcherOf } from "../cni/launcher.ts";
import type { PluginType } from "../cni/plugin_type.ts";
import { writeName } from "../kernel/atomic_file.ts";
import { withFile } from "../base/file_error.ts";
import { look, type Piece, programPiece, refuseForeign, removePiece } from "./files.ts";
import type { Entry } from "./manifest.ts";
import { divert, packagesOf, undivert } from "./packages.ts";

/**
 * `missing`: for the types that no directory has; `all`: also for those of other programs, which
 * are moved aside; `none`: for no more types than there are, and what was moved aside comes back.
 */
export const PLUGIN_CHOICES = ["missing", "all", "none"] as const;
export type PluginChoice = typeof PLUGIN_CHOICES[number];

const MAPPER = "mesos-cni-port-mapper";
/** What a program is called while ours has its name. */
const ASIDE = ".before-mesos-cni";

/**
 * @param types that this program contains, but for the port mapper, whose launchers are made anyway
 * @param directories the search path: what is found first runs
 * @param program what the launchers become
 */
export function pluginLaunchers(
  types: readonly PluginType[],
  directories: readonly string[],
  program: string,
  choice: PluginChoice,
): Piece[] {
  const [first] = directories;
  if (choice === "none" || first === undefined) return [];
  const pathsOf = ({ type }: PluginType) => directories.map((dir) => join(dir, type));
  const owners = packagesOf(types.flatMap(pathsOf));
  return types.flatMap((type) => {
    const bytes = launcherBytes(launcherOf(type, program));
    const others = pathsOf(type).filter((path) => isOther(path, program));
    if (others.length === 0) return [programPiece(join(first, type.type), bytes)];
    return choice === "all"
      ? others.map((path) => replacing(programPiece(path, bytes), owners.has(path)))
      : [];
  });
}

/** The port mapper's: for what has its name and is neither a launcher nor a link, an operator has to decide. */
export function mapperLauncher(directory: string, program: string): Piece {
  const path = join(directory, MAPPER);
  const launcher = launcherOf({ type: MAPPER, kind: "meta" }, program);
  const piece = programPiece(path, launcherBytes(launcher));
  return {
    ...piece,
    change() {
      const found = look(path);
      if (found && !found.isSymlink && !findLauncher(path)) refuseForeign(path);
      return piece.change();
    },
  };
}

/** Whether another program waits to come back there. */
export function hasAside(path: string): boolean {
  return look(path + ASIDE) !== undefined;
}

/** Whether a launcher was to come where another program is, or to go, and the call was killed halfway. */
export function isHalfway({ path, isDiverted }: Entry): boolean {
  return hasAside(path) ? isSecondName(path) : isDiverted === true;
}

/** Whether the program that is there is the one that has the name of what was moved aside. */
function isSecondName(path: string): boolean {
  const [there, aside] = [look(path), look(path + ASIDE)];
  return there !== undefined && there.dev === aside?.dev && there.ino === aside.ino;
}

/**
 * Takes a link or a file of ours away; a program that was moved aside for it gets its name back, in
 * the same step.
 *
 * @returns false if there was none
 * @throws {OperatorError}
 */
export async function takeAway(entry: Entry): Promise<boolean> {
  const { path } = entry;
  const wasThere = look(path) !== undefined;
  if (hasAside(path)) withFile("rename", path, () => Deno.renameSync(path + ASIDE, path));
  else removePiece(path);
  await leave(entry);
  return wasThere;
}

/**
 * Takes back what was prepared for a launcher where another program is: its second name, and what dpkg
 * was told.
 *
 * @throws {OperatorError}
 */
export async function leave({ path, isDiverted }: Entry): Promise<void> {
  if (isSecondName(path)) removePiece(path + ASIDE);
  if (isDiverted) await undivert(path);
}

/** A launcher where another program is. */
function replacing(launcher: Piece, isPackaged: boolean): Piece {
  const { path } = launcher;
  return {
    ...launcher,
    isAside: true,
    async place() {
      // First a second name, then the launcher in place of the first: a runtime always finds one.
      if (isPackaged) await divert(path, path + ASIDE);
      writeName(path + ASIDE, path);
      await launcher.place();
    },
    entry: () => ({
      ...launcher.entry(),
      ...isPackaged ? { isDiverted: true as const } : {},
    }),
  };
}

/** Whether there is something else than a launcher of this program, or a link to it as it was once made. */
function isOther(path: string, program: string): boolean {
  const found = look(path);
  if (!found) return false;
  if (found.isSymlink) return Deno.readLinkSync(path) !== program;
  return findLauncher(path)?.program !== program;
}
