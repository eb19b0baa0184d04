/** What editors get of the linter: the language server, asked by a client's library, and the schema. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import {
  CodeActionRequest,
  createProtocolConnection,
  DidChangeTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ExitNotification,
  HoverRequest,
  InitializeRequest,
  type ProtocolConnection,
  PublishDiagnosticsNotification,
  type PublishDiagnosticsParams,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver-protocol";
import Ajv from "ajv";
import { realConfigs, textOf } from "../fixtures/lint/corpus.ts";
import { MESOS_CNI } from "../harness/binary.ts";

const URI = "file:///etc/mesos/cni/net.conf";
const TEXT = `{
  "cniVersion": "1.0.0",
  "name": "net",
  "type": "bridge",
  "isGatway": true,
  "ipam": { "type": "host-local", "subnet": "10.1.0.0/16", "routes": [{ "dst": "0.0.0.0/0" }] }
}
`;

/** An editor's side of the protocol, on the compiled program. */
class Editor implements AsyncDisposable {
  #waiting: ((found: PublishDiagnosticsParams) => void)[] = [];

  private constructor(
    readonly child: ChildProcessWithoutNullStreams,
    readonly connection: ProtocolConnection,
  ) {
    connection.onNotification(
      PublishDiagnosticsNotification.type,
      (found) => this.#waiting.shift()?.(found),
    );
    connection.listen();
  }

  static async start(...args: string[]): Promise<Editor> {
    const child = spawn(MESOS_CNI, ["lint", "--lsp", ...args], { cwd: "/" });
    const editor = new Editor(
      child,
      createProtocolConnection(
        new StreamMessageReader(child.stdout),
        new StreamMessageWriter(child.stdin),
      ),
    );
    const { capabilities } = await editor.connection.sendRequest(InitializeRequest.type, {
      processId: Deno.pid,
      rootUri: null,
      capabilities: {},
    });
    assertEquals(capabilities.hoverProvider, true);
    return editor;
  }

  /** The findings that come after `act`. */
  async findings(act: () => Promise<void>): Promise<PublishDiagnosticsParams> {
    const found = new Promise<PublishDiagnosticsParams>((resolve) => this.#waiting.push(resolve));
    await act();
    return await found;
  }

  open(text: string): Promise<PublishDiagnosticsParams> {
    return this.findings(() =>
      this.connection.sendNotification(DidOpenTextDocumentNotification.type, {
        textDocument: { uri: URI, languageId: "json", version: 1, text },
      })
    );
  }

  change(text: string, version: number): Promise<PublishDiagnosticsParams> {
    return this.findings(() =>
      this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
        textDocument: { uri: URI, version },
        contentChanges: [{ text }],
      })
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.sendRequest(ShutdownRequest.type);
    const end = once(this.child, "exit");
    await this.connection.sendNotification(ExitNotification.type);
    assertEquals((await end)[0], 0);
    this.connection.dispose();
  }
}

Deno.test("an editor gets findings as the text changes, their background and their fixes", async () => {
  await using editor = await Editor.start();
  const { diagnostics } = await editor.open(TEXT);
  assertEquals(diagnostics.map(({ code, severity }) => [code, severity]), [["CNI501", 2]]);
  const { range } = diagnostics[0]!;
  assertEquals(range, { start: { line: 4, character: 2 }, end: { line: 4, character: 12 } });

  const textDocument = { uri: URI };
  const hover = await editor.connection.sendRequest(HoverRequest.type, {
    textDocument,
    position: range.start,
  });
  assertStringIncludes(JSON.stringify(hover), "CNI501 unknown-key");
  const about = await editor.connection.sendRequest(HoverRequest.type, {
    textDocument,
    position: { line: 3, character: 4 },
  });
  assertStringIncludes(JSON.stringify(about), "file name of the plugin");

  const actions = await editor.connection.sendRequest(CodeActionRequest.type, {
    textDocument,
    range,
    context: { diagnostics },
  });
  const [action] = actions ?? [];
  assert(action && "edit" in action);
  assertEquals(action.edit?.changes?.[URI], [{ range, newText: '"isGateway"' }]);

  const fixed = await editor.change(TEXT.replace("isGatway", "isGateway"), 2);
  assertEquals(fixed.diagnostics, []);
  const broken = await editor.change(TEXT.replace(',\n  "name', '\n  "name'), 3);
  assertEquals(broken.diagnostics.map(({ code }) => code), ["CNI001"]);
});

Deno.test("a keystroke takes less than 50 ms, at the median of 100", async () => {
  await using editor = await Editor.start();
  await editor.open(TEXT);
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    const start = performance.now();
    await editor.change(TEXT + " ".repeat(i), i + 2);
    times.push(performance.now() - start);
  }
  const median = times.sort((a, b) => a - b)[50]!;
  assert(median < 50, `${median.toFixed(1)} ms`);
});

Deno.test("the server takes --for, and ends by itself when the editor is gone", async () => {
  const editor = await Editor.start("--for=stock-agent");
  const { diagnostics } = await editor.open(TEXT);
  assertEquals(diagnostics.map(({ code }) => code).sort(), ["CNI116", "CNI501"]);
  const end = once(editor.child, "exit");
  editor.child.stdin.end();
  assertEquals((await end)[0], 1);
  editor.connection.dispose();
});

Deno.test("the schema takes what the linter takes, and names the place of a mistake", async () => {
  const { stdout } = await new Deno.Command(MESOS_CNI, { args: ["lint", "--schema"] }).output();
  const schema = JSON.parse(new TextDecoder().decode(stdout));
  const validate = new Ajv({ allErrors: true }).compile(schema);
  for (const config of realConfigs()) {
    if (config.expect !== "ok") continue;
    const { repo, path } = config;
    assert(
      validate(JSON.parse(textOf(config))),
      `${repo} ${path}: ${JSON.stringify(validate.errors)}`,
    );
  }
  assert(!validate(JSON.parse(TEXT.replace('"isGatway": true', '"isGateway": "true"'))));
  assertStringIncludes(JSON.stringify(validate.errors), "isGateway");
  const list = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "bridge", mtu: "1500" }] };
  assert(!validate(list));
  assertStringIncludes(JSON.stringify(schema), "at most 28 characters");
});
