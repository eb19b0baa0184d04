/** What is at a path, links followed; undefined if nothing is. @throws what a look may else */
export function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw error;
  }
}

/** The names in a directory, in no order; none if there is none. @throws what a look may else */
export function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Whether there is anything at a path, links followed. @throws what a look may, but NotFound */
export function exists(path: string): boolean {
  return statOf(path) !== undefined;
}
