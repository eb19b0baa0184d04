/** Findings a line each, as editors and scripts read compilers: `FILE:LINE:COLUMN: …`. */
import { plainLine } from "../../base/printable.ts";
import type { Diagnostic } from "../rule.ts";

export function reportConcise(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.map(({ code, severity, source, range, message, help }) => {
    const { line, column } = source.position(range.offset);
    return plainLine(`${source.path}:${line}:${column}: ${severity} ${code} ${message}; ${help}`);
  }).join("\n");
}
