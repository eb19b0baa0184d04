import { errno, isA, unless } from "./unless.ts";

/** What is at a path, links followed; undefined if nothing is. @throws what a look may else */
export function statOf(path: string): Deno.FileInfo | undefined {
  return unless(errno("ENOENT", "ENOTDIR", "ENAMETOOLONG"), () => Deno.statSync(path));
}

/** What tells a file from any other, and from itself before it was last written to or replaced. */
export function stateKey({ dev, ino, size, mtime, ctime }: Deno.FileInfo): string {
  return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join(":");
}

/** What is in a directory, in no order; nothing if there is none. @throws what a look may else */
export function entriesIn(directory: string): Deno.DirEntry[] {
  return unless(isA(Deno.errors.NotFound), () => [...Deno.readDirSync(directory)]) ?? [];
}

/** The names in a directory, as {@link entriesIn}. */
export function namesIn(directory: string): string[] {
  return entriesIn(directory).map(({ name }) => name);
}

/** Whether there is anything at a path, links followed. @throws what a look may, but NotFound */
export function exists(path: string): boolean {
  return statOf(path) !== undefined;
}
