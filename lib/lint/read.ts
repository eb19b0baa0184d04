/** From operands to sources: files as they are, directories as an agent reads them. */
import { join } from "@std/path";
import { messageOf, OperatorError } from "../base/error.ts";
import { readSome, readUpTo } from "../kernel/files.ts";
import { stateOf } from "../kernel/proc.ts";
import { openRegular } from "../kernel/read_file.ts";
import { type Obstacle, SIZE_LIMIT, Source, type SourceOptions } from "./source.ts";
import { tried } from "../base/unless.ts";

/**
 * Reads files and the entries of directories (not below them: nor does an agent), in the order
 * of the operands and by name; a file named twice is read once.
 *
 * @throws {OperatorError} if a named path is not there
 */
export function readSources(operands: readonly string[]): Source[] {
  const sources = new Map<string, Source>();
  for (const operand of operands) {
    const isDirectory = named(operand);
    if (!isDirectory) {
      sources.set(operand, new Source({ path: operand, ...readEntry(operand) }));
      continue;
    }
    const directoryMode = modeOf(operand);
    for (const name of entriesOf(operand)) {
      const path = join(operand, name);
      if (sources.has(path)) continue;
      const { content, facts } = readEntry(path);
      sources.set(
        path,
        new Source({ path, listed: true, content, facts: facts && { ...facts, directoryMode } }),
      );
    }
  }
  return [...sources.values()];
}

function modeOf(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o7777;
}

function entriesOf(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
  } catch (error) {
    throw new OperatorError("unreadable_path", `cannot read ${directory}: ${reason(error)}`);
  }
}

/** Standard input as a source, read no further than anyone will look; `path` is its file's name. */
export function readStdin(path = "<stdin>"): Source {
  return new Source({
    path,
    content: readUpTo(SIZE_LIMIT, (buffer) => Deno.stdin.readSync(buffer)),
  });
}

/** Whether a named path is a directory. */
function named(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    // A dangling link is there, and a finding.
    if (error instanceof Deno.errors.NotFound && isLink(path)) return false;
    throw new OperatorError("unreadable_path", `cannot lint ${path}: ${reason(error)}`);
  }
}

function readEntry(path: string): Pick<SourceOptions, "content" | "facts"> {
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) return obstacle("directory", "");
    using file = openRegular(path);
    if (!file) return obstacle("special file", "");
    const { mode, uid } = stateOf(file.path);
    return {
      content: readUpTo(SIZE_LIMIT, (buffer) => readSome(file, buffer)),
      facts: { mode, uid },
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && isLink(path)) {
      return obstacle("dangling link", Deno.readLinkSync(path));
    }
    return obstacle("unreadable", reason(error));
  }
}

function obstacle(kind: Obstacle["kind"], detail: string): { content: Obstacle } {
  return { content: { kind, detail } };
}

function isLink(path: string): boolean {
  return tried(() => Deno.lstatSync(path).isSymlink, false);
}

/** What the system said, without the call that is named before it, or that Deno appends. */
function reason(error: unknown): string {
  return messageOf(error).replace(/^E\w+: .*: /s, "").replace(/: \w+ '.*'$/s, "")
    .replace(/ \(os error \d+\)$/, "").toLowerCase();
}
