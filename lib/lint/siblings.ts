/** The files beside one that an editor has open: an agent reads them together. */
import { dirname, isAbsolute } from "@std/path";
import { readSources } from "./read.ts";
import type { Source } from "./source.ts";

/** To lint more than these at each keystroke would be felt. */
const MOST_SIBLINGS = 30;

/** The other configs of the directory, as they are on disk; none if there are too many to look at. */
export function siblingsOf(path: string): readonly Source[] {
  if (!isAbsolute(path)) return []; // not saved yet
  try {
    const names = [...Deno.readDirSync(dirname(path))].filter(({ isFile, name }) =>
      isFile && /\.(conf|conflist)$/.test(name)
    );
    if (names.length > MOST_SIBLINGS + 1) return [];
    const paths = names.map(({ name }) => `${dirname(path)}/${name}`);
    return readSources(paths.filter((one) => one !== path));
  } catch {
    return []; // a directory that is not there yet, or a file that went meanwhile
  }
}
