/** Applies fixes to files: the text around them stays as it is. */
import { messageOf, OperatorError } from "../base/error.ts";
import { rewriteFile } from "../kernel/rewrite_file.ts";
import type { Diagnostic } from "./rule.ts";
import { type Edit } from "./range.ts";
import type { Source } from "./source.ts";

/** What a file would become. */
export interface Repair {
  source: Source;
  /** The new text; the old one if only the mode changes. */
  text: string;
  mode?: number;
  fixes: Diagnostic[];
}

/**
 * Collects the fixes of findings, by file. Of two that touch, the first is taken.
 *
 * @param oneByOne of which files only one fix is to be made
 */
export function repairs(
  diagnostics: readonly Diagnostic[],
  oneByOne: (source: Source) => boolean = () => false,
): Repair[] {
  const bySource = Map.groupBy(
    diagnostics.filter((diagnostic) => diagnostic.fix),
    (diagnostic) => diagnostic.source,
  );
  return [...bySource].map(([source, found]) => {
    const edits: Edit[] = [];
    const fixes = (oneByOne(source) ? found.slice(0, 1) : found).filter(({ fix }) => {
      const wanted = fix!.edits ?? [];
      if (wanted.some((edit) => edits.some((other) => touches(edit, other)))) return false;
      edits.push(...wanted);
      return true;
    });
    const mode = fixes.map(({ fix }) => fix!.mode).filter((mode) => mode !== undefined)
      .reduce<number | undefined>((all, mode) => (all ?? mode) & mode, undefined);
    return { source, text: apply(source.text, edits), mode, fixes };
  });
}

/**
 * Writes repaired files, each in one step: a reader sees the old or the new one. Owner, attributes
 * and mode stay, unless the mode is what is mended; what a link points to is replaced, not the link.
 *
 * @throws {OperatorError} `unwritable_file`; the file is as it was
 */
export function write({ source, text, mode }: Repair): void {
  try {
    const isSame = text === source.text && !source.hasBom;
    rewriteFile(source.path, {
      was: source.bytes,
      isCut: source.isTooLarge,
      text: isSame ? undefined : text,
      mode,
    });
  } catch (error) {
    const message = `cannot mend ${source.path}: ${messageOf(error)}`;
    throw new OperatorError("unwritable_file", message, { cause: error });
  }
}

function touches(a: Edit, b: Edit): boolean {
  return a.offset <= b.offset + b.length && b.offset <= a.offset + a.length;
}

function apply(text: string, edits: readonly Edit[]): string {
  let result = "";
  let end = 0;
  for (const edit of [...edits].sort((a, b) => a.offset - b.offset)) {
    result += text.slice(end, edit.offset) + edit.content;
    end = edit.offset + edit.length;
  }
  return result + text.slice(end);
}
