/** Links by which a runtime finds the plugins that this program contains. */
import { join } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { writeLink, writeName } from "../kernel/atomic_file.ts";
import { withFile } from "../base/file_error.ts";
import { look, type Piece, removePiece, symlinkPiece } from "./files.ts";
import type { Entry } from "./manifest.ts";
import { divert, packagesOf, undivert } from "./packages.ts";

/**
 * `missing`: for the types that no directory has; `all`: also for those of other programs, which
 * are moved aside until `uninstall`; `none`: for the port mapper alone.
 */
export const PLUGIN_CHOICES = ["missing", "all", "none"] as const;
export type PluginChoice = typeof PLUGIN_CHOICES[number];

/** What a program is called while ours has its name. */
const ASIDE = ".before-mesos-cni";

/**
 * @param types that this program contains, but for the port mapper, whose links are made anyway
 * @param directories the search path: what is found first runs
 * @param program what the links lead to
 */
export function pluginLinks(
  types: readonly string[],
  directories: readonly string[],
  program: string,
  choice: PluginChoice,
): Piece[] {
  const [first] = directories;
  if (choice === "none" || first === undefined) return [];
  const owners = packagesOf(types.flatMap((type) => directories.map((dir) => join(dir, type))));
  return types.flatMap((type) => {
    const others = directories.map((dir) => join(dir, type)).filter((path) =>
      isOther(path, program)
    );
    if (others.length === 0) return [symlinkPiece(join(first, type), program)];
    return choice === "all"
      ? others.map((path) => replacingPiece(path, program, owners.has(path)))
      : [];
  });
}

/**
 * Takes a link or a file of ours away; a program that was moved aside for it gets its name back, in
 * the same step.
 *
 * @returns false if there was none
 * @throws {OperatorError}
 */
export async function takeAway({ path, isDiverted }: Entry): Promise<boolean> {
  const wasThere = look(path) !== undefined;
  if (look(path + ASIDE)) withFile("rename", path, () => Deno.renameSync(path + ASIDE, path));
  else removePiece(path);
  if (isDiverted) await undivert(path);
  return wasThere;
}

function replacingPiece(path: string, program: string, isPackaged: boolean): Piece {
  return {
    path,
    isAside: true,
    change() {
      if (Deno.lstatSync(path).isDirectory) {
        throw new OperatorError("in_the_way", `${path} is a directory: move it away first`);
      }
      return "changed";
    },
    async place() {
      // First a second name, then the link in place of the first: a runtime always finds one.
      if (isPackaged) await divert(path, path + ASIDE);
      writeName(path + ASIDE, path);
      writeLink(path, program);
    },
    entry: () =>
      Promise.resolve({ path, link: program, ...isPackaged ? { isDiverted: true as const } : {} }),
  };
}

/** Whether there is something else than a link to this program. */
function isOther(path: string, program: string): boolean {
  try {
    return !Deno.lstatSync(path).isSymlink || Deno.readLinkSync(path) !== program;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}
