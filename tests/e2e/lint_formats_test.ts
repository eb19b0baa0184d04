/** The forms in which `mesos-cni lint` reports: people, other programs, terminals. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import Ajv from "ajv";
import sarifSchema from "sarif-schema" with { type: "json" };
import { Directory, GOOD, lint, MENDABLE } from "../harness/lint_command.ts";
import { RULES } from "../../lib/lint/rules/mod.ts";

Deno.test("text shows the line, carets below the place, and what to do", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD.replace("true", '"true"'));
  const { stdout } = await lint([file]);
  assertEquals(
    stdout,
    `error[CNI502]: isGateway must not be a string
 --> ${file}:6:16
  |
6 |   "isGateway": "true",
  |                ^^^^^^
  = help: write true or false, without quotes (--fix does it)
  = rule: field-type, see --explain=CNI502

1 error in 1 file
`,
  );
});

Deno.test("a file can neither colour the terminal nor move its cursor", async () => {
  const { stdout } = await lint(["-"], {
    stdin: `{"name": "net", "type": "bridge", "bridge": "\x1b[31m\u202e", "\x1b]0;x\x07": 1}`,
  });
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f\u202e]/.test(stdout), JSON.stringify(stdout));
});

Deno.test("gitlab gets a report whose fingerprints stay when lines move", async () => {
  using dir = new Directory();
  const text = GOOD.replace("true", '"true"');
  dir.file("net.conf", text);
  const run = async () =>
    JSON.parse((await lint(["--format=gitlab", "net.conf"], { cwd: dir.path })).stdout);
  const [before, ...others] = await run();
  assertEquals(others, []);
  assertEquals([before.check_name, before.severity], ["CNI502", "major"]);
  assertEquals(before.location, { path: "net.conf", lines: { begin: 6 } });
  dir.file("net.conf", "\n" + text);
  const [after] = await run();
  assertEquals([after.fingerprint, after.location.lines.begin], [before.fingerprint, 7]);
  // However the path was named, the report has the one that the repository knows.
  for (const path of [dir.path, `${dir.path}/net.conf`, "./net.conf"]) {
    const [found] = JSON.parse(
      (await lint(["--format=gitlab", path], { cwd: dir.path })).stdout,
    );
    assertEquals(found, after, path);
  }
});

Deno.test("a file's text and name can't steer the terminal in what --fix and github print", async () => {
  using dir = new Directory();
  const name = "\x1b[31mred\u202e.conf";
  const file = dir.file(
    name,
    MENDABLE.replace('"name" : "net"', '"name" : "net", "_comment": "\x1b]0;x\x07"'),
  );
  const broken = dir.file("broken.conf", MENDABLE.replace('"name"', '// \x1b[2J\n"name"'));
  for (
    const args of [
      ["--fix", "--dry-run", file, broken],
      ["--format=github", dir.path],
      ["--format=gitlab", dir.path],
      ["--format=sarif", dir.path],
      ["--format=concise", dir.path],
      ["--fix", file, broken],
    ]
  ) {
    const { stdout } = await lint(args);
    assert(stdout.length > 100, args.join(" "));
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x09\x0b-\x1f\x7f\u202e]/.test(stdout), args + JSON.stringify(stdout));
  }
});

Deno.test("SARIF is valid against the schema of version 2.1.0", async () => {
  using dir = new Directory();
  dir.file("a b%.conf", MENDABLE);
  dir.file("broken.conf", '{"name": ');
  dir.file("empty.conf", "");
  Deno.mkdirSync(join(dir.path, "more"));
  const { stdout } = await lint(["--format=sarif", dir.path]);
  const log = JSON.parse(stdout);
  // The schema is in draft 4, whose own schema Ajv doesn't bring along.
  const validate = new Ajv({
    schemaId: "auto",
    meta: false,
    validateSchema: false,
    unknownFormats: "ignore",
    logger: false,
  }).compile(sarifSchema);
  assert(validate(log), JSON.stringify(validate.errors, null, 2));
  assert(!validate({ ...log, version: "2.0.0" }), "the schema refuses nothing");
  const [run] = log.runs;
  assertEquals(run.tool.driver.rules.length, RULES.length);
  assert(run.results.length > 5);
  for (const result of run.results) {
    assertEquals(run.tool.driver.rules[result.ruleIndex].id, result.ruleId);
    assertMatch(result.partialFingerprints.primaryLocationLineHash, /^[0-9a-f]{64}$/);
  }
  const hashes = run.results.map((result: { partialFingerprints: unknown }) =>
    JSON.stringify(result.partialFingerprints)
  );
  assertEquals(new Set(hashes).size, run.results.length);
  for (const rule of run.tool.driver.rules) assertMatch(rule.helpUri, /^https:\/\//);
  const [first] = run.results;
  assertMatch(
    first.locations[0].physicalLocation.artifactLocation.uri,
    /^file:\/\/.*a%20b%25\.conf$/,
  );
});

Deno.test("github prints workflow commands, one line each, with what would break them escaped", async () => {
  using dir = new Directory();
  dir.file("a,b:c.conf", GOOD.replace("true", '"true"'));
  const { stdout } = await lint(["--format=github", "a,b:c.conf"], { cwd: dir.path });
  assertEquals(
    stdout,
    "::error file=a%2Cb%3Ac.conf,line=6,endLine=6,col=16,endColumn=22,title=CNI502::" +
      "isGateway must not be a string; write true or false, without quotes\n",
  );
});

Deno.test("columns count UTF-16 code units, and carets stand below wide characters", async () => {
  const { stdout } = await lint(["-"], {
    stdin: '{"name": "net", "type": "bridge", "_注": "网络", "mtu": "1", "ipam": {"type": "dhcp"}}',
  });
  const lines = stdout.split("\n");
  const at = lines.findIndex((line) => line.includes("CNI502"));
  assertStringIncludes(lines[at + 1]!, "<stdin>:1:54");
  // Three characters before the place are two columns wide.
  assertEquals(lines[at + 4]!.indexOf("^"), lines[at + 3]!.indexOf('"1"') + 3);
});
