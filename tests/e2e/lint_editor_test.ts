/** What editors get of the linter: the language server, asked by a client's library, and the schema. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { once } from "node:events";
import {
  CodeActionRequest,
  DidChangeWatchedFilesNotification,
  HoverRequest,
  type PublishDiagnosticsParams,
} from "vscode-languageserver-protocol";
import Ajv from "ajv";
import { realConfigs, textOf } from "../fixtures/lint/corpus.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { Editor, TEXT, URI } from "../harness/editor.ts";

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

Deno.test("an editor can mend all on saving, and spare a finding in its place", async () => {
  await using editor = await Editor.start();
  const text = TEXT.replace("10.1.0.0/16", "10.1.2.3/16");
  const { diagnostics } = await editor.open(text);
  const range = { start: { line: 0, character: 0 }, end: { line: 7, character: 0 } };
  const act = async (only?: string[]) =>
    (await editor.connection.sendRequest(CodeActionRequest.type, {
      textDocument: { uri: URI },
      range,
      context: { diagnostics, only },
    }) ?? []).map((action) => {
      assert("edit" in action);
      return { title: action.title, edits: action.edit!.changes![URI]! };
    });
  const [all, ...others] = await act(["source.fixAll"]);
  assertEquals(others, []);
  const mended = text.replace("isGatway", "isGateway").replace("10.1.2.3", "10.1.0.0");
  assertEquals(all!.edits.map(({ newText }) => newText), [mended]);

  const spare = (await act()).find(({ title }) => title.startsWith("spare unknown-key"));
  const { start, end } = spare!.edits[0]!.range;
  assertEquals(start, end);
  const lines = text.split("\n");
  lines[start.line] = lines[start.line]!.slice(0, start.character) + spare!.edits[0]!.newText +
    lines[start.line]!.slice(start.character);
  const after = await editor.change(lines.join("\n"), 2);
  assertEquals(after.diagnostics.map(({ code }) => code), ["CNI402"]);
  assertEquals(await act(["refactor"]), []);
});

Deno.test("an editor hears of what a file does to its neighbours, saved or open", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-lint-" });
  try {
    const good = TEXT.replace("isGatway", "isGateway");
    await Deno.writeTextFile(`${dir}/z.conf`, good);
    await using editor = await Editor.start();
    const uri = `file://${dir}/a.conf`;
    const codes = ({ diagnostics }: PublishDiagnosticsParams) =>
      diagnostics.map(({ code }) => code);
    assertEquals(codes(await editor.open(good, uri)), ["CNI301", "CNI302"]);
    const other = good.replace('"net"', '"other"').replace("10.1.0.0", "10.2.0.0");
    const apart = other.replace('"bridge",', '"bridge",\n  "bridge": "cni1",');
    assertEquals(codes(await editor.change(apart, 2, uri)), []);
    // The neighbour as it is in the editor, not on disk.
    const neighbour = `file://${dir}/z.conf`;
    assertEquals(codes(await editor.open(apart, neighbour)), ["CNI301", "CNI302"]);
    assertEquals(codes(await editor.change(apart + " ", 3, uri)), ["CNI301", "CNI302"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("what is mended in one buffer is gone in the other, and so is what changed on disk", async () => {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-lint-" });
  try {
    await using editor = await Editor.start();
    const codes = ({ diagnostics }: PublishDiagnosticsParams) =>
      diagnostics.map(({ code }) => code);
    const good = TEXT.replace("isGatway", "isGateway");
    const [a, b] = ["a", "b"].map((name) => `file://${dir}/${name}.conf`) as [string, string];
    assertEquals(codes(await editor.open(good, a)), []);
    const told = editor.next(a);
    assertEquals(codes(await editor.open(good, b)), ["CNI301", "CNI302"]);
    assertEquals(codes(await told), ["CNI301", "CNI302"]);
    const other = good.replace('"net"', '"other"').replace("10.1.0.0", "10.2.0.0")
      .replace('"bridge",', '"bridge",\n  "bridge": "cni1",');
    const cleared = editor.next(a);
    assertEquals(codes(await editor.change(other, 2, b)), []);
    assertEquals(codes(await cleared), []);

    assertEquals(editor.watched, ["workspace/didChangeWatchedFiles"]);
    const changed = (name: string) =>
      editor.findings(
        () =>
          editor.connection.sendNotification(DidChangeWatchedFilesNotification.type, {
            changes: [{ uri: `file://${dir}/${name}`, type: 1 }],
          }),
        a,
      );
    await Deno.writeTextFile(`${dir}/c.conf`, good);
    assertEquals(codes(await changed("c.conf")), ["CNI301", "CNI302"]);
    await Deno.writeTextFile(`${dir}/.mesos-cni-lint.json`, '{"rules": {"CNI301": "off"}}');
    assertEquals(codes(await changed(".mesos-cni-lint.json")), ["CNI302"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
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
