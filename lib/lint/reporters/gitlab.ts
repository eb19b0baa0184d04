/**
 * Findings as GitLab's code quality report, which a merge request shows beside the changed lines.
 * https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
 */
import { createHash } from "node:crypto";
import type { Diagnostic } from "../rule.ts";

const SEVERITY = { error: "major", warning: "minor", info: "info" };

export function reportGitlab(diagnostics: readonly Diagnostic[]): unknown {
  const seen = new Map<string, number>();
  return diagnostics.map(({ code, severity, source, range, message, help }) => {
    const { path } = source;
    // The same finding after an edit above it: the line is no part of it.
    const same = [path, code, message].join("\0");
    const count = seen.get(same) ?? 0;
    seen.set(same, count + 1);
    return {
      check_name: code,
      description: `${message}; ${help}`,
      severity: SEVERITY[severity],
      fingerprint: createHash("sha256").update(`${same}\0${count}`).digest("hex"),
      location: { path, lines: { begin: source.position(range.offset).line } },
    };
  });
}
