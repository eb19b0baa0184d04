import type { Diagnostic, Severity } from "../rule.ts";

export function countOf(diagnostics: readonly Diagnostic[], severity: Severity): number {
  return diagnostics.filter((diagnostic) => diagnostic.severity === severity).length;
}

/** `2 errors and 1 warning in 3 files`. */
export function summary(diagnostics: readonly Diagnostic[], files: number): string {
  const counts = (["error", "warning", "info"] as const)
    .map((severity) => [severity, countOf(diagnostics, severity)] as const)
    .filter(([, count]) => count > 0)
    .map(([severity, count]) => severity === "info" ? `${count} info` : plural(count, severity));
  const found = counts.length > 1
    ? `${counts.slice(0, -1).join(", ")} and ${counts.at(-1)}`
    : counts[0] ?? "no findings";
  return `${found} in ${plural(files, "file")}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
