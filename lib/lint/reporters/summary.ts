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

/** How often each rule found something, the most frequent first. */
export function statistics(
  diagnostics: readonly Diagnostic[],
): { code: string; rule: string; severity: Severity; count: number }[] {
  const groups = Map.groupBy(diagnostics, ({ code, severity }) => `${code} ${severity}`);
  return [...groups.values()].map((group) => {
    const { code, name, severity } = group[0]!;
    return { code, rule: name, severity, count: group.length };
  }).sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1));
}

/** The same as lines of text. */
export function statisticsText(diagnostics: readonly Diagnostic[]): string {
  const rows = statistics(diagnostics);
  const width = String(rows[0]?.count ?? 0).length;
  const names = Math.max(0, ...rows.map(({ rule }) => rule.length));
  return rows.map(({ code, rule, severity, count }) =>
    `${String(count).padStart(width)}  ${code}  ${rule.padEnd(names)}  ${severity}`
  ).join("\n");
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
