/**
 * Findings as workflow commands of GitHub Actions, which show them beside the changed lines.
 * https://docs.github.com/actions/using-workflows/workflow-commands-for-github-actions
 */
import { plain } from "../../base/printable.ts";
import type { Diagnostic } from "../rule.ts";
import { inCheckout } from "./fingerprint.ts";

const LEVEL = { error: "error", warning: "warning", info: "notice" };

export function reportGithub(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.map(({ code, severity, source, range, message, help }) => {
    const start = source.position(range.offset);
    const end = source.position(range.offset + range.length);
    const properties: Record<string, string | number> = {
      file: inCheckout(source.path),
      line: start.line,
      endLine: end.line,
      // Columns only count within one line.
      ...(start.line === end.line && { col: start.column, endColumn: end.column }),
      title: code,
    };
    const list = Object.entries(properties).map(([key, value]) => `${key}=${property(value)}`);
    return `::${LEVEL[severity]} ${list.join(",")}::${data(`${message}; ${help}`)}`;
  }).join("\n");
}

function data(text: string): string {
  return plain(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(value: string | number): string {
  return data(String(value)).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
