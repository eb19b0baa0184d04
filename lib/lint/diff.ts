/** What a repair changes, as a unified diff that `patch` understands. */
import { FILE_HEADERS_ONLY, formatPatch, structuredPatch } from "diff";
import { plain } from "../base/printable.ts";
import type { Repair } from "./fix.ts";
import { octal } from "./octal.ts";

const CONTEXT = 3;

/** @returns the diff without a newline at its end; a change of mode or of the mark is a line of its own */
export function unifiedDiff({ source, text, mode }: Repair): string {
  const lines: string[] = [];
  if (mode !== undefined) {
    lines.push(`# ${source.path}: mode ${octal(source.facts?.mode ?? 0)} becomes ${octal(mode)}`);
  }
  if (source.hasBom) lines.push(`# ${source.path}: the byte order mark goes`);
  if (text !== source.text) {
    const { path } = source;
    const patch = structuredPatch(path, path, source.text, text, undefined, undefined, {
      context: CONTEXT,
    });
    lines.push(formatPatch(patch, FILE_HEADERS_ONLY).trimEnd());
  }
  // The end of a line in a file of Windows is left as it is: it is part of the patch.
  return lines.join("\n").split("\n").map((line) =>
    plain(line.replace(/\r$/, "")) + (line.endsWith("\r") ? "\r" : "")
  )
    .join("\n");
}
