/**
 * Findings as GitLab's code quality report, which a merge request shows beside the changed lines.
 * https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
 */
import type { Diagnostic } from "../rule.ts";
import { fingerprints, inCheckout } from "./fingerprint.ts";

const SEVERITY = { error: "major", warning: "minor", info: "info" };

export function reportGitlab(diagnostics: readonly Diagnostic[]): unknown {
  const names = fingerprints(diagnostics);
  return diagnostics.map(({ code, severity, source, range, message, help }, i) => ({
    check_name: code,
    description: `${message}; ${help}`,
    severity: SEVERITY[severity],
    fingerprint: names[i],
    location: {
      path: inCheckout(source.path),
      lines: { begin: source.position(range.offset).line },
    },
  }));
}
