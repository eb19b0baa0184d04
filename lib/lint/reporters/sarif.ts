/**
 * Findings as SARIF 2.1.0, for code scanning services.
 * https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
 */
import { VERSION } from "../../base/version.ts";
import { explain } from "../explain.ts";
import { RULES } from "../rules/mod.ts";
import type { Diagnostic } from "../rule.ts";
import { type Range } from "../range.ts";
import type { Source } from "../source.ts";
import { fingerprints } from "./fingerprint.ts";

/** What the rules of a group are about, by the first digit of their codes. */
const GROUNDS: Readonly<Record<string, string>> = {
  0: "https://www.rfc-editor.org/rfc/rfc8259",
  1: "https://www.cni.dev/docs/spec/#section-1-network-configuration-format",
  2: "https://mesos.apache.org/documentation/latest/cni/",
  3: "https://mesos.apache.org/documentation/latest/cni/",
  4: "https://www.cni.dev/plugins/current/ipam/host-local/",
  5: "https://www.cni.dev/plugins/current/",
  6: "https://mesos.apache.org/documentation/latest/cni/#a-port-mapper-plugin-for-cni-networks",
  7: "https://www.cni.dev/docs/#3rd-party-plugins",
  8: "https://www.cni.dev/plugins/current/",
};

const LEVEL = { error: "error", warning: "warning", info: "note" };

/** The report as a JSON value. */
export function reportSarif(diagnostics: readonly Diagnostic[]): unknown {
  const names = fingerprints(diagnostics);
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
            help: { text: explain(rule, (text) => text) },
            helpUri: GROUNDS[rule.code[3]!],
            defaultConfiguration: { level: LEVEL[rule.severity] },
          })),
        },
      },
      columnKind: "utf16CodeUnits",
      results: diagnostics.map((found, i) => ({
        ...result(found),
        // The name that GitHub's code scanning looks for.
        partialFingerprints: { primaryLocationLineHash: names[i] },
      })),
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
