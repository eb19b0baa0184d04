/**
 * The linter as a language server (LSP 3.17) on standard input and output: findings while somebody
 * types, the background of a finding under the pointer, fixes as code actions.
 * https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
 */
import process from "node:process";
import { fromFileUrl } from "@std/path";
import {
  type CodeAction,
  CodeActionKind,
  CodeActionRequest,
  type CompletionItem,
  CompletionItemKind,
  CompletionRequest,
  createProtocolConnection,
  type Diagnostic as LspDiagnostic,
  DiagnosticSeverity,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  DidSaveTextDocumentNotification,
  ExitNotification,
  type Hover,
  HoverRequest,
  InitializeRequest,
  type InitializeResult,
  MarkupKind,
  PublishDiagnosticsNotification,
  type Range as LspRange,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
  TextDocumentSyncKind,
  type TextEdit,
} from "vscode-languageserver-protocol";
import { VERSION } from "../base/version.ts";
import { type Action, fixingAll, ignoring } from "./code_actions.ts";
import { type Completion, completions } from "./completion.ts";
import { explain } from "./explain.ts";
import { lint } from "./lint.ts";
import type { Edit, Range } from "./range.ts";
import type { Context, Diagnostic, Severity } from "./rule.ts";
import { DESCRIPTIONS } from "./schemas/descriptions.ts";
import { ruleNamed, type Settings } from "./settings.ts";
import { siblingsOf } from "./siblings.ts";
import { Source } from "./source.ts";

const SEVERITY: Record<Severity, DiagnosticSeverity> = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  info: DiagnosticSeverity.Information,
};

/** A file that is open in the editor, as it is there. */
interface Open {
  source: Source;
  /** The files beside it, when it was opened or saved. */
  siblings: readonly Source[];
  diagnostics: readonly Diagnostic[];
}

/** Serves until the client says exit or goes away. @returns the exit code */
export function serve(settings: Settings, context: Context): Promise<number> {
  const connection = createProtocolConnection(
    new StreamMessageReader(process.stdin),
    new StreamMessageWriter(process.stdout),
  );
  const files = new Map<string, Open>();
  let isShutDown = false;

  const look = (uri: string, text: string, version?: number, isNew = false) => {
    const source = new Source({ path: pathOf(uri), content: new TextEncoder().encode(text) });
    const known = isNew ? undefined : files.get(uri)?.siblings;
    const siblings = known ?? siblingsOf(source.path);
    const open = new Map([...files.values()].map((file) => [file.source.path, file.source]));
    // It comes last, so that what two files do to each other is said in this one.
    const together = [...siblings.map((one) => open.get(one.path) ?? one), source];
    const diagnostics = lint(together, settings, context).filter((one) => one.source === source);
    files.set(uri, { source, siblings, diagnostics });
    connection.sendNotification(PublishDiagnosticsNotification.type, {
      uri,
      version,
      diagnostics: diagnostics.map(shown),
    });
  };

  connection.onRequest(InitializeRequest.type, (): InitializeResult => ({
    serverInfo: { name: "mesos-cni lint", version: VERSION },
    capabilities: {
      // The whole text comes with each change: a config is small, and nothing can get out of step.
      textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Full, save: true },
      hoverProvider: true,
      completionProvider: { triggerCharacters: ['"'] },
      codeActionProvider: {
        codeActionKinds: [CodeActionKind.QuickFix, CodeActionKind.SourceFixAll],
      },
    },
  }));
  connection.onNotification(DidOpenTextDocumentNotification.type, ({ textDocument }) => {
    look(textDocument.uri, textDocument.text, textDocument.version);
  });
  connection.onNotification(
    DidChangeTextDocumentNotification.type,
    ({ textDocument, contentChanges }) => {
      const last = contentChanges.at(-1);
      if (last) look(textDocument.uri, last.text, textDocument.version);
    },
  );
  connection.onNotification(DidSaveTextDocumentNotification.type, () => {
    for (const [uri, { source }] of files) look(uri, source.text, undefined, true);
  });
  connection.onNotification(DidCloseTextDocumentNotification.type, ({ textDocument }) => {
    files.delete(textDocument.uri);
    const { uri } = textDocument;
    connection.sendNotification(PublishDiagnosticsNotification.type, { uri, diagnostics: [] });
  });
  connection.onRequest(HoverRequest.type, ({ textDocument, position }): Hover | null => {
    const file = files.get(textDocument.uri);
    return file ? hover(file, offsetOf(file.source, position)) : null;
  });
  connection.onRequest(CompletionRequest.type, ({ textDocument, position }): CompletionItem[] => {
    const source = files.get(textDocument.uri)?.source;
    return source ? completions(source, offsetOf(source, position)).map(item(source)) : [];
  });
  connection.onRequest(CodeActionRequest.type, ({ textDocument, range, context: { only } }) => {
    const file = files.get(textDocument.uri);
    const wants = (kind: string) => !only || only.some((one) => `${kind}.`.startsWith(`${one}.`));
    if (!file) return [];
    const { uri } = textDocument;
    const all: CodeAction[] = wants(CodeActionKind.QuickFix) ? actions(file, uri, range) : [];
    // Only where it is asked for, such as on saving: to mend takes as long as a few keystrokes.
    if (only && wants(CodeActionKind.SourceFixAll)) {
      const action = fixingAll(file.source, (sources) => lint(sources, settings, context));
      if (action) {
        all.push({ ...edited(file.source, uri, action), kind: CodeActionKind.SourceFixAll });
      }
    }
    return all;
  });
  connection.onRequest(ShutdownRequest.type, () => {
    isShutDown = true;
  });
  return new Promise((resolve) => {
    connection.onNotification(ExitNotification.type, () => resolve(isShutDown ? 0 : 1));
    // An editor that was killed says nothing; its end of the pipe is closed.
    process.stdin.on("end", () => resolve(isShutDown ? 0 : 1));
    connection.listen();
  });
}

function pathOf(uri: string): string {
  try {
    return fromFileUrl(uri);
  } catch {
    return uri; // not saved yet: untitled:Untitled-1
  }
}

function shown({ code, severity, source, range, message, help }: Diagnostic): LspDiagnostic {
  return {
    range: rangeIn(source, range),
    severity: SEVERITY[severity],
    code,
    source: "mesos-cni",
    message: `${message}\n${help}`,
  };
}

/** Lines and characters count from 0 there; both sides count UTF-16 code units. */
function rangeIn(source: Source, { offset, length }: Range): LspRange {
  const at = (offset: number) => {
    const { line, column } = source.position(offset);
    return { line: line - 1, character: column - 1 };
  };
  return { start: at(offset), end: at(offset + length) };
}

function offsetOf(source: Source, { line, character }: LspRange["start"]): number {
  const start = source.lineStart(line + 1);
  return Math.min(start + character, source.text.length);
}

/** What is wrong under the pointer, else what the key there is for. */
function hover({ source, diagnostics }: Open, offset: number): Hover | null {
  const found = diagnostics.filter(({ range }) =>
    range.offset <= offset && offset <= range.offset + range.length
  );
  if (found.length > 0) {
    const value = found.map(({ code }) => {
      const text = explain(ruleNamed(code, "hover"), (text) => text);
      return "```text\n" + text + "\n```";
    }).join("\n\n");
    return {
      contents: { kind: MarkupKind.Markdown, value },
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
      contents: { kind: MarkupKind.PlainText, value: description },
      range: rangeIn(source, { offset: start, length: end - match.index }),
    };
  }
  return null;
}

function actions({ source, diagnostics }: Open, uri: string, range: LspRange): CodeAction[] {
  const [from, to] = [offsetOf(source, range.start), offsetOf(source, range.end)];
  return diagnostics.flatMap((found): CodeAction[] => {
    const isThere = found.range.offset <= to && from <= found.range.offset + found.range.length;
    if (!isThere) return [];
    const { title, edits = [] } = found.fix ?? {};
    const fix = title && edits.length > 0 ? { title, edits } : undefined;
    return [fix, ignoring(found)].filter((action) => action !== undefined).map((action) => ({
      ...edited(source, uri, action),
      kind: CodeActionKind.QuickFix,
      diagnostics: [shown(found)],
      isPreferred: action === fix && found.fix!.safety === "safe",
    }));
  });
}

function edited(source: Source, uri: string, { title, edits }: Action): CodeAction {
  return { title, edit: { changes: { [uri]: edits.map((edit) => textEdit(source, edit)) } } };
}

function textEdit(source: Source, edit: Edit): TextEdit {
  return { range: rangeIn(source, edit), newText: edit.content };
}

function item(source: Source): (completion: Completion) => CompletionItem {
  return ({ label, description, edit }) => ({
    label,
    kind: description === undefined ? CompletionItemKind.Value : CompletionItemKind.Property,
    detail: description,
    // Editors compare with what stands in the range, quotes and all.
    filterText: edit.content,
    textEdit: textEdit(source, edit),
  });
}
