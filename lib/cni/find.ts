import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import { isPluginType } from "./config.ts";
import { namesIn } from "../base/exists.ts";
import { tried } from "../base/unless.ts";

/**
 * The file of a plugin: the first regular, executable file of that name in the directories of
 * CNI_PATH.
 *
 * @param cniPath directories, separated by colons; empty ones are ignored, since the current
 *   directory must never decide what runs as root
 * @param types what the type may be a misspelling of, beside the files that are there
 * @throws {OperatorError} `missing_plugin`, with the directories that were searched
 */
export function findPlugin(type: string, cniPath: string, types: readonly string[] = []): string {
  if (!isPluginType(type)) {
    throw new OperatorError(
      "missing_plugin",
      `${JSON.stringify(type)} is not a plugin's file name`,
    );
  }
  const directories = cniPath.split(":").filter((directory) => directory !== "");
  const unusable: string[] = [];
  for (const directory of directories) {
    const file = `${directory}/${type}`;
    const reason = whyUnusable(file);
    if (reason === undefined) return file;
    if (reason !== "absent") unusable.push(`${file} ${reason}`);
  }
  // What can't be read has been searched all the same, and is named.
  const files = directories.flatMap((directory) => tried(() => namesIn(directory), []));
  const guess = nearest(type, [...types, ...files]);
  throw new OperatorError(
    "missing_plugin",
    `plugin ${JSON.stringify(type)} is not in ${
      directories.join(", ") || "the empty search path"
    }` +
      unusable.map((reason) => `; ${reason}`).join("") +
      (guess !== undefined && guess !== type
        ? `; did you mean ${JSON.stringify(guess)}?`
        : "; install it there or correct the plugins directory"),
  );
}

function whyUnusable(file: string): string | undefined {
  try {
    const { isFile, mode } = Deno.statSync(file);
    if (!isFile) return "is not a regular file";
    return ((mode ?? 0) & 0o111) === 0 ? "is not executable" : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    return `cannot be read: ${(error as Error).message}`;
  }
}
