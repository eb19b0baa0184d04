/**
 * The linter as a language server (LSP 3.17) on standard input and output: findings while somebody
 * types, the background of a finding under the pointer, fixes as code actions.
 * https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
 */
import process from "node:process";
import { dirname, fromFileUrl } from "@std/path";
import * as lsp from "vscode-languageserver-protocol";
import { messageOf } from "../base/error.ts";
import { VERSION } from "../base/version.ts";
import { type Action, fixingAll, ignoring } from "./code_actions.ts";
import { explain } from "./explain.ts";
import { lint } from "./lint.ts";
import type { Range } from "./range.ts";
import type { Context, Diagnostic, Severity } from "./rule.ts";
import { DESCRIPTIONS } from "./schemas/descriptions.ts";
import { ruleNamed, Settings } from "./settings.ts";
import { SETTINGS_FILE } from "./settings_file.ts";
import { siblingsOf } from "./siblings.ts";
import { Source } from "./source.ts";
import { tried } from "../base/unless.ts";

const SEVERITY: Record<Severity, lsp.DiagnosticSeverity> = {
  error: lsp.DiagnosticSeverity.Error,
  warning: lsp.DiagnosticSeverity.Warning,
  info: lsp.DiagnosticSeverity.Information,
};

/** A file that is open in the editor, as it is there. */
interface Open {
  source: Source;
  version?: number;
  /** The files beside it as they were on disk, which is looked at when something may have changed. */
  siblings: readonly Source[];
  diagnostics: readonly Diagnostic[];
}

/**
 * Serves until the client says exit or goes away.
 *
 * @param settingsFor the settings of a file, looked for anew
 * @returns the exit code
 */
export function serve(settingsFor: (path: string) => Settings, given: Context): Promise<number> {
  const connection = lsp.createProtocolConnection(
    new lsp.StreamMessageReader(process.stdin),
    new lsp.StreamMessageWriter(process.stdout),
  );
  const files = new Map<string, Open>();
  let isShutDown = false;
  let canWatch = false;

  const check = (sources: readonly Source[], path: string) => {
    let settings = new Settings();
    try {
      settings = settingsFor(path);
    } catch (error) {
      connection.sendNotification(lsp.ShowMessageNotification.type, {
        type: lsp.MessageType.Error,
        message: messageOf(error),
      });
    }
    return lint(sources, settings, { ...given, reader: given.reader ?? settings.reader });
  };
  /** Looks at a file again, and says what it found if that is new. */
  const look = (uri: string, file: Open) => {
    const { source, siblings, version } = file;
    const beside = new Map([
      ...siblings.map((one) => [one.path, one] as const),
      ...[...files.values()].map((one) => [one.source.path, one.source] as const)
        .filter(([path]) => dirname(path) === dirname(source.path)),
    ]);
    beside.delete(source.path);
    // It comes last, so that what two files do to each other is said in this one.
    const found = check([...beside.values(), source], source.path)
      .filter((one) => one.source === source);
    const diagnostics = found.map(shown);
    const isKnown = files.get(uri) === file &&
      JSON.stringify(diagnostics) === JSON.stringify(file.diagnostics.map(shown));
    files.set(uri, { ...file, diagnostics: found });
    if (isKnown) return;
    connection.sendNotification(lsp.PublishDiagnosticsNotification.type, {
      uri,
      version,
      diagnostics,
    });
  };
  const change = (uri: string, text: string, version: number, siblings?: readonly Source[]) => {
    const source = new Source({ path: pathOf(uri), content: new TextEncoder().encode(text) });
    const beside = siblings ?? siblingsOf(source.path);
    look(uri, { source, version, siblings: beside, diagnostics: [] });
    lookBeside(uri);
  };
  /** What a file does to those beside it is said in them, too. */
  const lookBeside = (uri: string) => {
    for (const [other, file] of files) {
      if (other !== uri && dirname(pathOf(other)) === dirname(pathOf(uri))) look(other, file);
    }
  };
  const lookAtDisk = () => {
    for (const [uri, file] of files) {
      files.set(uri, { ...file, siblings: siblingsOf(file.source.path) });
      look(uri, files.get(uri)!);
    }
  };

  connection.onRequest(lsp.InitializeRequest.type, ({ capabilities }): lsp.InitializeResult => {
    canWatch = capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration ?? false;
    return {
      serverInfo: { name: "mesos-cni lint", version: VERSION },
      capabilities: {
        // The whole text comes with each change: a config is small, and nothing can get out of step.
        textDocumentSync: { openClose: true, change: lsp.TextDocumentSyncKind.Full, save: true },
        hoverProvider: true,
        codeActionProvider: {
          codeActionKinds: [lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.SourceFixAll],
        },
      },
    };
  });
  connection.onNotification(lsp.InitializedNotification.type, () => {
    if (!canWatch) return;
    const watchers = ["**/*.{conf,conflist,json}", `**/${SETTINGS_FILE}`]
      .map((globPattern) => ({ globPattern }));
    const method = lsp.DidChangeWatchedFilesNotification.method;
    connection.sendRequest(lsp.RegistrationRequest.type, {
      registrations: [{ id: "files", method, registerOptions: { watchers } }],
    }).catch(() => {}); // a client that changed its mind
  });
  connection.onNotification(lsp.DidChangeWatchedFilesNotification.type, lookAtDisk);
  connection.onNotification(lsp.DidOpenTextDocumentNotification.type, ({ textDocument }) => {
    change(textDocument.uri, textDocument.text, textDocument.version);
  });
  connection.onNotification(
    lsp.DidChangeTextDocumentNotification.type,
    ({ textDocument: { uri, version }, contentChanges }) => {
      const last = contentChanges.at(-1);
      if (last) change(uri, last.text, version, files.get(uri)?.siblings);
    },
  );
  connection.onNotification(lsp.DidSaveTextDocumentNotification.type, lookAtDisk);
  connection.onNotification(
    lsp.DidCloseTextDocumentNotification.type,
    ({ textDocument: { uri } }) => {
      files.delete(uri);
      connection.sendNotification(lsp.PublishDiagnosticsNotification.type, {
        uri,
        diagnostics: [],
      });
      lookBeside(uri);
    },
  );
  connection.onRequest(lsp.HoverRequest.type, ({ textDocument, position }): lsp.Hover | null => {
    const file = files.get(textDocument.uri);
    return file ? hover(file, offsetOf(file.source, position)) : null;
  });
  connection.onRequest(lsp.CodeActionRequest.type, ({ textDocument, range, context: { only } }) => {
    const file = files.get(textDocument.uri);
    const wants = (kind: string) => !only || only.some((one) => `${kind}.`.startsWith(`${one}.`));
    if (!file) return [];
    const { uri } = textDocument;
    const all: lsp.CodeAction[] = wants(lsp.CodeActionKind.QuickFix)
      ? actions(file, uri, range)
      : [];
    // Only where it is asked for, such as on saving: to mend takes as long as a few keystrokes.
    if (only && wants(lsp.CodeActionKind.SourceFixAll)) {
      const action = fixingAll(file.source, (sources) => check(sources, file.source.path));
      if (action) {
        all.push({ ...edited(file.source, uri, action), kind: lsp.CodeActionKind.SourceFixAll });
      }
    }
    return all;
  });
  connection.onRequest(lsp.ShutdownRequest.type, () => {
    isShutDown = true;
  });
  return new Promise((resolve) => {
    connection.onNotification(lsp.ExitNotification.type, () => resolve(isShutDown ? 0 : 1));
    // An editor that was killed says nothing; its end of the pipe is closed.
    process.stdin.on("end", () => resolve(isShutDown ? 0 : 1));
    connection.listen();
  });
}

function pathOf(uri: string): string {
  return tried(() => fromFileUrl(uri), uri); // not saved yet: untitled:Untitled-1
}

function shown({ code, severity, source, range, message, help }: Diagnostic): lsp.Diagnostic {
  return {
    range: rangeIn(source, range),
    severity: SEVERITY[severity],
    code,
    source: "mesos-cni",
    message: `${message}\n${help}`,
  };
}

/** Lines and characters count from 0 there; both sides count UTF-16 code units. */
function rangeIn(source: Source, { offset, length }: Range): lsp.Range {
  const at = (offset: number) => {
    const { line, column } = source.position(offset);
    return { line: line - 1, character: column - 1 };
  };
  return { start: at(offset), end: at(offset + length) };
}

function offsetOf(source: Source, { line, character }: lsp.Range["start"]): number {
  const start = source.lineStart(line + 1);
  return Math.min(start + character, source.text.length);
}

/** What is wrong under the pointer, else what the key there is for. */
function hover({ source, diagnostics }: Open, offset: number): lsp.Hover | null {
  const found = diagnostics.filter(({ range }) =>
    range.offset <= offset && offset <= range.offset + range.length
  );
  if (found.length > 0) {
    const value = found.map(({ code }) => {
      const text = explain(ruleNamed(code, "hover"), (text) => text);
      return "```text\n" + text + "\n```";
    }).join("\n\n");
    return {
      contents: { kind: lsp.MarkupKind.Markdown, value },
      range: rangeIn(source, found[0]!.range),
    };
  }
  const line = source.line(source.position(offset).line);
  const column = source.position(offset).column - 1;
  for (const match of line.matchAll(/"([\w.-]+)"\s*:/g)) {
    const end = match.index + match[1]!.length + 2;
    const description = DESCRIPTIONS[match[1]!];
    if (!description || column < match.index || column > end) continue;
    const start = offset - column + match.index;
    return {
      contents: { kind: lsp.MarkupKind.PlainText, value: description },
      range: rangeIn(source, { offset: start, length: end - match.index }),
    };
  }
  return null;
}

function actions({ source, diagnostics }: Open, uri: string, range: lsp.Range): lsp.CodeAction[] {
  const [from, to] = [offsetOf(source, range.start), offsetOf(source, range.end)];
  return diagnostics.flatMap((found): lsp.CodeAction[] => {
    const isThere = found.range.offset <= to && from <= found.range.offset + found.range.length;
    if (!isThere) return [];
    const { title, edits = [] } = found.fix ?? {};
    const fix = title && edits.length > 0 ? { title, edits } : undefined;
    return [fix, ignoring(found)].filter((action) => action !== undefined).map((action) => ({
      ...edited(source, uri, action),
      kind: lsp.CodeActionKind.QuickFix,
      diagnostics: [shown(found)],
      isPreferred: action === fix && found.fix!.safety === "safe",
    }));
  });
}

function edited(source: Source, uri: string, { title, edits }: Action): lsp.CodeAction {
  const changes = edits.map((edit) => ({ range: rangeIn(source, edit), newText: edit.content }));
  return { title, edit: { changes: { [uri]: changes } } };
}
