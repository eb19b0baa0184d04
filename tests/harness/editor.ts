/** An editor, on the language server of the program under test. */
import { assertEquals } from "@std/assert";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import {
  createProtocolConnection,
  DidChangeTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ExitNotification,
  InitializedNotification,
  InitializeRequest,
  type ProtocolConnection,
  PublishDiagnosticsNotification,
  type PublishDiagnosticsParams,
  RegistrationRequest,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver-protocol";
import { MESOS_CNI } from "./binary.ts";

/** A config with a misspelt key, in its fifth line. */
export const TEXT = `{
  "cniVersion": "1.0.0",
  "name": "net",
  "type": "bridge",
  "isGatway": true,
  "ipam": { "type": "host-local", "subnet": "10.1.0.0/16", "routes": [{ "dst": "0.0.0.0/0" }] }
}
`;

/** The file that is edited where no other is named. */
export const URI = "file:///etc/mesos/cni/net.conf";

/** An editor's side of the protocol, on the compiled program. */
export class Editor implements AsyncDisposable {
  #waiting: { uri: string; tell: (found: PublishDiagnosticsParams) => void }[] = [];
  /** What the server wants to hear of. */
  readonly watched: string[] = [];

  private constructor(
    readonly child: ChildProcessWithoutNullStreams,
    readonly connection: ProtocolConnection,
  ) {
    connection.onNotification(
      PublishDiagnosticsNotification.type,
      (found) => {
        const place = this.#waiting.findIndex(({ uri }) => uri === found.uri);
        if (place >= 0) this.#waiting.splice(place, 1)[0]!.tell(found);
      },
    );
    connection.onRequest(RegistrationRequest.type, ({ registrations }) => {
      for (const { method } of registrations) this.watched.push(method);
    });
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
      capabilities: { workspace: { didChangeWatchedFiles: { dynamicRegistration: true } } },
    });
    await editor.connection.sendNotification(InitializedNotification.type, {});
    assertEquals(capabilities.hoverProvider, true);
    return editor;
  }

  /** The findings of a file that come after `act`. */
  async findings(act: () => Promise<void>, uri = URI): Promise<PublishDiagnosticsParams> {
    const found = this.next(uri);
    await act();
    return await found;
  }

  /** The next findings of a file. */
  next(uri: string): Promise<PublishDiagnosticsParams> {
    return new Promise((tell) => this.#waiting.push({ uri, tell }));
  }

  open(text: string, uri = URI): Promise<PublishDiagnosticsParams> {
    return this.findings(
      () =>
        this.connection.sendNotification(DidOpenTextDocumentNotification.type, {
          textDocument: { uri, languageId: "json", version: 1, text },
        }),
      uri,
    );
  }

  change(text: string, version: number, uri = URI): Promise<PublishDiagnosticsParams> {
    return this.findings(
      () =>
        this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
          textDocument: { uri, version },
          contentChanges: [{ text }],
        }),
      uri,
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
