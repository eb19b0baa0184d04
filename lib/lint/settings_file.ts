/** Where the settings of the rules are looked for. */
import { dirname, join, resolve } from "@std/path";
import { exists } from "../base/exists.ts";

/** Read from the directory of a file or one above it, unless `--config` names another one. */
export const SETTINGS_FILE = ".mesos-cni-lint.json";

/** The settings file that is nearest above a file, else above the working directory. */
export function settingsFileFor(path: string): string | undefined {
  return above(dirname(resolve(path))) ?? above(Deno.cwd());
}

function above(directory: string): string | undefined {
  const file = join(directory, SETTINGS_FILE);
  try {
    if (exists(file)) return file;
  } catch {
    return undefined; // a directory that is not this user's to look into
  }
  const parent = dirname(directory);
  return parent === directory ? undefined : above(parent);
}
