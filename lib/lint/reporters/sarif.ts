/**
 * Findings as SARIF 2.1.0, for code scanning services.
 * https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
 */
import { VERSION } from "../../base/version.ts";
import { RULES } from "../rules/mod.ts";
import type { Diagnostic } from "../rule.ts";
import { type Range } from "../range.ts";
import type { Source } from "../source.ts";

const LEVEL = { error: "error", warning: "warning", info: "note" };

/** The report as a JSON value. */
export function reportSarif(diagnostics: readonly Diagnostic[]): unknown {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [{
      tool: {
        driver: {
          name: "mesos-cni lint",
          version: VERSION,
          rules: RULES.map((rule) => ({
            id: rule.code,
            name: rule.name,
            shortDescription: { text: rule.title },
            fullDescription: { text: rule.why },
            defaultConfiguration: { level: LEVEL[rule.severity] },
          })),
        },
      },
      columnKind: "utf16CodeUnits",
      results: diagnostics.map(result),
    }],
  };
}

function result({ code, severity, source, range, message, help, fix }: Diagnostic) {
  const artifactLocation = { uri: uriOf(source.path) };
  const edits = fix?.edits ?? [];
  return {
    ruleId: code,
    ruleIndex: RULES.findIndex((rule) => rule.code === code),
    level: LEVEL[severity],
    message: { text: `${message}; ${help}` },
    locations: [{ physicalLocation: { artifactLocation, region: region(source, range) } }],
    ...(edits.length > 0 && {
      fixes: [{
        description: { text: fix!.title },
        artifactChanges: [{
          artifactLocation,
          replacements: edits.map((edit) => ({
            deletedRegion: region(source, edit),
            insertedContent: { text: edit.content },
          })),
        }],
      }],
    }),
  };
}

function region(source: Source, range: Range) {
  const start = source.position(range.offset);
  const end = source.position(range.offset + range.length);
  return {
    startLine: start.line,
    startColumn: start.column,
    endLine: end.line,
    endColumn: end.column,
  };
}

/** A path as a URI reference: relative paths stay relative. */
function uriOf(path: string): string {
  const uri = path.split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${uri}` : uri;
}
