/** Findings for programs, in a form of our own. */
import type { Diagnostic } from "../rule.ts";
import { countOf, statistics } from "./summary.ts";

/** The report as a JSON value; lines and columns count from 1, columns in UTF-16 code units. */
export function reportJson(
  diagnostics: readonly Diagnostic[],
  files: number,
  { mended, withStatistics }: { mended?: readonly string[]; withStatistics?: boolean } = {},
): unknown {
  return {
    files,
    errors: countOf(diagnostics, "error"),
    warnings: countOf(diagnostics, "warning"),
    infos: countOf(diagnostics, "info"),
    ...(mended && { mended }),
    ...(withStatistics && { statistics: statistics(diagnostics) }),
    findings: diagnostics.map(({ code, name, severity, source, range, message, help, fix }) => ({
      code,
      rule: name,
      severity,
      file: source.path,
      start: { ...source.position(range.offset), offset: range.offset },
      end: { ...source.position(range.offset + range.length), offset: range.offset + range.length },
      message,
      help,
      ...(fix && { fix }),
    })),
  };
}
