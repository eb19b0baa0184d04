/** `mesos-cni lint` as an operator calls it: the compiled program, files, exit codes. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import Ajv from "ajv";
import sarifSchema from "sarif-schema" with { type: "json" };
import { CNI_PLUGINS, IS_COMPILED, MESOS_CNI } from "../harness/binary.ts";
import { RULES } from "../../lib/lint/rules/mod.ts";

const GOOD = `{
  "cniVersion": "1.0.0",
  "name": "net",
  "type": "bridge",
  "bridge": "cni0",
  "isGateway": true,
  "ipam": {
    "type": "host-local",
    "subnet": "10.1.0.0/16",
    "routes": [{ "dst": "0.0.0.0/0" }]
  }
}
`;
/** In an operator's own layout, with mistakes that --fix mends. */
const MENDABLE = `{
    "name" : "net",  "type" : "bridge",
    "bridge"    : "cni0",
    "isGatway"  : true,
    "ipam" : { "type": "host-local",
               "subnet": "10.1.2.3/16",
               "routes": [ { "dst": "0.0.0.0/0" }, ] }
}
`;

class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "mesos-cni-lint-" });

  file(name: string, content: string | Uint8Array, mode = 0o644): string {
    const path = join(this.path, name);
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
    Deno.chmodSync(path, mode);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

async function lint(
  args: string[],
  options: { stdin?: string; cwd?: string; env?: Record<string, string> } = {},
) {
  const child = new Deno.Command(MESOS_CNI, {
    args: ["lint", ...args],
    cwd: options.cwd ?? "/",
    env: options.env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // It reads no further than it looks.
  await writer.write(new TextEncoder().encode(options.stdin ?? "")).then(() => writer.close())
    .catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

interface Report {
  files: number;
  errors: number;
  warnings: number;
  findings: {
    code: string;
    severity: string;
    file: string;
    start: { line: number; column: number };
    end: { line: number; column: number };
  }[];
}

async function report(...args: string[]): Promise<Report> {
  return JSON.parse((await lint(["--json", ...args])).stdout);
}

async function codes(...args: string[]): Promise<string[]> {
  return (await report(...args)).findings.map((finding) => finding.code);
}

Deno.test("a clean file ends with 0, a finding with 1, a wrong call with 2", async () => {
  using dir = new Directory();
  const good = dir.file("good.conf", GOOD);
  const bad = dir.file("bad.conf", GOOD.replace("true", '"true"'));
  assertEquals((await lint([good])).code, 0);
  assertEquals((await lint([bad])).code, 1);
  for (
    const args of [
      [],
      ["/no/such/file"],
      ["--format=xml", good],
      ["--explain=CNI999"],
      ["--rule=CNI414", good],
      ["--rule=CNI414=loud", good],
      ["--max-warnings=x", good],
      ["--dry-run", good],
      ["--unsafe-fixes", good],
      ["--fix", "--format=json", "-"],
      ["--fix", "-", good],
      ["--stdin-filename=net.conf", good],
      ["--config=/no/such/file", good],
      ["--fromat=json", good],
    ]
  ) {
    const { code, stdout, stderr } = await lint(args);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assertStringIncludes(stderr, "mesos-cni lint --help");
  }
});

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

Deno.test("standard input is a file called <stdin>", async () => {
  const { code, stdout } = await lint(["-"], { stdin: '{"name": "net"' });
  assertEquals(code, 1);
  assertStringIncludes(stdout, "--> <stdin>:1:15");
});

Deno.test("--fix is a filter of standard input, which --stdin-filename gives a name", async () => {
  const fixed = await lint(["--fix", "-"], { stdin: MENDABLE });
  assertEquals(fixed.code, 0);
  assertStringIncludes(fixed.stdout, '    "isGateway"  : true,\n');
  assertStringIncludes(fixed.stderr, "no findings in 1 file");
  const rest = GOOD.replace("10.1.0.0/16", "10.1.0.0/33");
  const left = await lint(["--fix", "--stdin-filename=/etc/cni/net.conf", "-"], { stdin: rest });
  assertEquals([left.code, left.stdout], [1, rest]);
  assertStringIncludes(left.stderr, "--> /etc/cni/net.conf:9:15");
  // What can't be mended must not come out as nothing.
  const large = await lint(["--fix", "-"], { stdin: GOOD + " ".repeat(2 << 20) });
  assertEquals([large.code, large.stdout], [2, ""]);

  const list = `{"cniVersion":"1.0.0","name":"net","plugins":[${GOOD}]}`;
  const named = async (name: string) =>
    (await lint(["--for=libcni", "--format=concise", `--stdin-filename=${name}`, "-"], {
      stdin: list,
    })).stdout;
  assert(!(await named("net.conflist")).includes("CNI110"));
  assertMatch(await named("net.conf"), /^net\.conf:1:36: error CNI110 .+; .+$/m);
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

Deno.test("a dry run without anything to mend ends as the findings say", async () => {
  using dir = new Directory();
  const hopeless = dir.file("bad.conf", GOOD.replace("10.1.0.0/16", "10.1.0.0/33"));
  const good = dir.file("good.conf", GOOD);
  assertEquals((await lint(["--fix", "--dry-run", hopeless])).code, 1);
  assertEquals((await lint(["--fix", "--dry-run", good])).code, 0);
});

Deno.test("a guess is shown, and made when it is asked for", async () => {
  using dir = new Directory();
  const text = GOOD.replace('"isGateway": true', '"isGateway": true, "hairpin": true');
  const file = dir.file("net.conf", text);
  assertStringIncludes((await lint([file])).stdout, "(--fix --unsafe-fixes does it)");
  await lint(["--fix", file]);
  assertEquals(Deno.readTextFileSync(file), text);
  const [found] = JSON.parse((await lint(["--json", file])).stdout).findings;
  assertEquals(found.fix.safety, "unsafe");
  assertEquals((await lint(["--fix", "--unsafe-fixes", file])).code, 0);
  assertEquals(Deno.readTextFileSync(file), text.replace("hairpin", "hairpinMode"));
});

Deno.test("a kill of --fix at any step leaves nothing that an agent takes for a network", async (t) => {
  const calls = "openat:when=1..400 fchown fchmod fsync renameat unlinkat".split(" ");
  for (const call of calls) {
    using dir = new Directory();
    const file = dir.file("net.conf", MENDABLE);
    const [name, when = "when=1"] = call.split(":");
    // Of the many files that are opened, only those of the directory count.
    const only = name === "openat" ? ["-P", `${dir.path}/.mesos-cni.new`] : [];
    const { signal } = await new Deno.Command("strace", {
      args: [
        ...["-f", "-qq", "-o", "/dev/null", "-e", `trace=${name}`, ...only],
        ...["-e", `inject=${name}:signal=SIGKILL:${when}`, MESOS_CNI, "lint", "--fix", file],
      ],
      stdout: "null",
      stderr: "null",
    }).output();
    await t.step(`at ${name}`, async () => {
      const files = [...Deno.readDirSync(dir.path)].filter((entry) => !entry.isDirectory);
      assertEquals(files.map((entry) => entry.name), ["net.conf"]);
      const { stdout } = await lint(["--fix", file]);
      assertStringIncludes(stdout, "no findings in 1 file");
      assertEquals([...Deno.readDirSync(dir.path)].map((entry) => entry.name), ["net.conf"]);
      if (name === "renameat") assertEquals(signal, "SIGKILL", "the program was not killed");
    });
  }
});

Deno.test("settings are looked for above the file, and then above the working directory", async () => {
  using dir = new Directory();
  const deep = join(dir.path, "networks", "web");
  Deno.mkdirSync(deep, { recursive: true });
  const file = dir.file("networks/web/net.conf", GOOD.replace("isGateway", "isGatewy"));
  const other = dir.file("networks/other.conf", GOOD.replace("isGateway", "isGatewy"));
  dir.file(".mesos-cni-lint.json", '{"rules": {"unknown-key": "error"}}');
  const severities = async (path: string, cwd = "/") =>
    (JSON.parse((await lint(["--json", path], { cwd })).stdout) as Report).findings
      .map(({ severity }) => severity);
  assertEquals(await severities(file), ["error"]);
  dir.file("networks/web/.mesos-cni-lint.json", '{"rules": {"unknown-key": "off"}}');
  assertEquals([await severities(file), await severities(other)], [[], ["error"]]);
  using elsewhere = new Directory();
  const far = elsewhere.file("net.conf", GOOD.replace("isGateway", "isGatewy"));
  assertEquals(await severities(far), ["warning"]);
  assertEquals(await severities(far, deep), []);
});

Deno.test("only infos are clean, and --max-warnings allows some warnings", async () => {
  using dir = new Directory();
  const info = dir.file("info.conf", GOOD.replace('"cniVersion": "1.0.0",', ""));
  const warning = dir.file("warning.conf", GOOD.replace("isGateway", "isGatewy"));
  assertEquals((await lint([info])).code, 0);
  assertEquals((await lint([warning])).code, 1);
  assertEquals((await lint(["--max-warnings=1", warning])).code, 0);
});

Deno.test("rules are switched by flags and by .mesos-cni-lint.json, and the flag wins", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD.replace("isGateway", "isGatewy"));
  dir.file(".mesos-cni-lint.json", '{"rules": {"unknown-key": "error", "CNI509": "off"}}');
  const severity = async (...args: string[]) => {
    const { stdout } = await lint(["--json", ...args, file], { cwd: dir.path });
    return (JSON.parse(stdout) as Report).findings.map((finding) => finding.severity);
  };
  assertEquals(await severity(), ["error"]);
  assertEquals(await severity("--rule=CNI501=info"), ["info"]);
  assertEquals(await severity("--rule=unknown-key=off"), []);

  dir.file(".mesos-cni-lint.json", '{"rules": {"unknwon-key": "off"}}');
  const { code, stderr } = await lint([file], { cwd: dir.path });
  assertEquals(code, 2);
  assertStringIncludes(stderr, "did you mean unknown-key?");
});

Deno.test("--fix mends a file and keeps its layout, mode and owner", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", MENDABLE, 0o646);
  const dry = await lint(["--fix", "--dry-run", file]);
  assertEquals(dry.code, 1);
  assertEquals(Deno.readTextFileSync(file), MENDABLE);
  assertStringIncludes(dry.stdout, '-    "isGatway"  : true,\n+    "isGateway"  : true,\n');

  const { code, stdout } = await lint(["--fix", file]);
  const says = stdout.trimEnd().split("\n");
  assertEquals([code, says.at(-1)], [0, "no findings in 1 file"]);
  // What the dry run announced, and nothing else.
  assertEquals(
    says.slice(0, -1).map((line) => line.replace(/^mended /, "# would mend ")),
    dry.stdout.split("\n").filter((line) => line.startsWith("# would mend ")),
  );
  assertStringIncludes(stdout, `net.conf:4: rename the key "isGatway" to "isGateway" (CNI501)`);
  assertEquals(
    Deno.readTextFileSync(file),
    `{
    "cniVersion": "0.2.0",
    "name" : "net",  "type" : "bridge",
    "bridge"    : "cni0",
    "isGateway"  : true,
    "ipam" : { "type": "host-local",
               "subnet": "10.1.0.0/16",
               "routes": [ { "dst": "0.0.0.0/0" } ] }
}
`,
  );
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o644);
  assertEquals([...Deno.readDirSync(dir.path)].map((entry) => entry.name), ["net.conf"]);
});

Deno.test("--fix --dry-run prints a patch that makes the same file", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", MENDABLE);
  const { stdout } = await lint(["--fix", "--dry-run", file]);
  await lint(["--fix", file]);
  assertEquals(patched(MENDABLE, stdout), Deno.readTextFileSync(file));
  // What stands before the braces stays there, once.
  const commented = dir.file(
    "commented.conf",
    '// ours\n{\n  "name": "x",\n  "type": "loopback"\n}\n',
  );
  await lint(["--fix", commented]);
  assertEquals(
    Deno.readTextFileSync(commented),
    '// ours\n{\n  "cniVersion": "0.2.0",\n  "name": "x",\n  "type": "loopback"\n}\n',
  );
});

/** What patch(1), which not every machine has, makes of a text by a unified diff. */
function patched(text: string, diff: string): string {
  const lines = text.split("\n");
  const before = lines.length;
  let at = 0;
  for (const line of diff.trimEnd().split("\n")) {
    const hunk = /^@@ -(\d+),\d+ \+\d+,\d+ @@$/.exec(line);
    if (hunk) at = Number(hunk[1]) - 1 + lines.length - before;
    else if (/^(---|\+\+\+|#) /.test(line)) continue;
    else if (line.startsWith("+")) lines.splice(at++, 0, line.slice(1));
    else {
      assertEquals(lines[at], line.slice(1));
      if (line.startsWith("-")) lines.splice(at, 1);
      else at += 1;
    }
  }
  return lines.join("\n");
}

Deno.test("--fix writes values in the type that they plainly have, and leaves what could be two things", async () => {
  using dir = new Directory();
  const text = GOOD.replace('"isGateway": true', '"isGateway": "True", "mtu": "1500"')
    .replace('"subnet": "10.1.0.0/16"', '"ranges": [{ "subnet": "10.1.0.0/16" }]')
    .replace('[{ "dst": "0.0.0.0/0" }]', '{ "dst": "0.0.0.0/0" }')
    .replace(
      "\n}\n",
      ',\n  "dns": { "nameservers": "10.1.0.1", "search": "a.example b.example" }\n}\n',
    );
  const file = dir.file("net.conf", text);
  await lint(["--fix", file]);
  assertEquals(
    Deno.readTextFileSync(file),
    text.replace('"True"', "true").replace('"1500"', "1500")
      .replace('[{ "subnet": "10.1.0.0/16" }]', '[[{ "subnet": "10.1.0.0/16" }]]')
      .replace('"routes": { "dst": "0.0.0.0/0" }', '"routes": [{ "dst": "0.0.0.0/0" }]')
      .replace('"10.1.0.1",', '["10.1.0.1"],'),
  );
  assertEquals(await codes(file), ["CNI502"]);
});

Deno.test("--fix takes away a byte order mark, and follows a link to the file", async () => {
  using dir = new Directory();
  const target = dir.file("target", "\ufeff" + GOOD);
  const link = join(dir.path, "net.conf");
  Deno.symlinkSync(target, link);
  assertEquals(await codes(link), ["CNI005"]);
  assertEquals((await lint(["--fix", link])).code, 0);
  assertEquals(Deno.readTextFileSync(target), GOOD);
  assert(Deno.lstatSync(link).isSymlink);
});

Deno.test("a directory is read as an agent reads it", async () => {
  using dir = new Directory();
  dir.file("10-net.conf", GOOD);
  dir.file("20-net.conf", GOOD);
  dir.file("30-net.conf.bak", GOOD.replace('"net"', '"old"'));
  dir.file("README", "networks of the web tier\n");
  Deno.mkdirSync(join(dir.path, "more"));
  Deno.symlinkSync("/no/such/file", join(dir.path, "40-net.conf"));
  const { findings } = await report(dir.path);
  assertEquals(
    findings.map((finding) => `${finding.file.slice(dir.path.length + 1)} ${finding.code}`),
    [
      "20-net.conf CNI301",
      "20-net.conf CNI302",
      "30-net.conf.bak CNI203",
      "30-net.conf.bak CNI302",
      "40-net.conf CNI201",
      "README CNI202",
      "more CNI202",
    ],
  );
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

Deno.test("--plugins-dir finds what is not installed", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD.replace('"host-local"', '"hostlocal"'));
  assertEquals(await codes(file), ["CNI117"]);
  const flag = `--network_cni_plugins_dir=/nowhere:${CNI_PLUGINS}`;
  assertEquals(await codes(flag, file), ["CNI206"]);
  assertEquals(await codes(`--plugins-dir=/nowhere:${CNI_PLUGINS}`, file), ["CNI206"]);
});

Deno.test("rules are chosen by --select and --ignore, counted by --statistics", async () => {
  using dir = new Directory();
  const file = dir.file(
    "net.conf",
    GOOD.replace("10.1.0.0/16", "10.1.2.3/16").replace("isGateway", "isGatway"),
  );
  assertEquals(await codes(file), ["CNI501", "CNI402"]);
  assertEquals(await codes("--select=CNI4", file), ["CNI402"]);
  assertEquals(await codes("--select=unknown-key,host-bits", "--ignore=CNI402", file), ["CNI501"]);
  assertEquals((await lint(["--select=CNI999", file])).code, 2);
  const { stdout } = await lint(["--statistics", file]);
  assertMatch(stdout, /^1 {2}CNI402 {2}host-bits +error\n1 {2}CNI501 {2}unknown-key +warning\n/);
});

Deno.test("a finding is spared in one place, in one network, and nowhere else", async () => {
  using dir = new Directory();
  const routeless = GOOD.replace(/,\s+"routes".*/, "");
  const file = dir.file("net.conf", routeless);
  assertEquals(await codes(file), ["CNI414"]);
  const spared = routeless.replace('"type": "host', '"_lint_ignore": "CNI414", "type": "host');
  assertEquals(await codes(dir.file("spared.conf", spared)), []);
  const elsewhere = routeless.replace(
    '"bridge": "cni0"',
    '"bridge": "cni0", "dns": {"_lint_ignore": ["no-route-to-agent"]}',
  );
  assertEquals(await codes(dir.file("elsewhere.conf", elsewhere)), ["CNI121", "CNI414"]);
  const typo = routeless.replace('"type": "host', '"_lint_ignore": "CNI999", "type": "host');
  assertEquals(await codes(dir.file("typo.conf", typo)), ["CNI120", "CNI414"]);

  // Of no use any more, whoever reads the file: of two, one goes, and then the key.
  const useless = GOOD.replace(
    '"type": "host',
    '"_lint_ignore": ["CNI414", "CNI405"], "type": "host',
  );
  const two = dir.file("two.conf", useless);
  assertEquals(await codes(two), ["CNI121", "CNI121"]);
  assertEquals((await lint([two])).code, 0);
  await lint(["--fix", two]);
  assertEquals(Deno.readTextFileSync(two), GOOD);
  assertEquals(await codes("--for=libcni", dir.file("agents.conf", spared)), []);

  const settings = dir.file(
    "settings.json",
    JSON.stringify({ networks: { net: { "no-route-to-agent": "off" } } }),
  );
  const other = dir.file("other.conf", routeless.replace('"net"', '"other"'));
  assertEquals(await codes(`--config=${settings}`, file), []);
  assertEquals(await codes(`--config=${settings}`, other), ["CNI414"]);
});

Deno.test("without a path, the directory of the agent is read", async () => {
  using dir = new Directory();
  dir.file("net.conf", GOOD.replace("true", '"true"'));
  const env = { MESOS_NETWORK_CNI_CONFIG_DIR: dir.path };
  assertStringIncludes((await lint([], { env })).stdout, `${dir.path}/net.conf:6:16`);
  const { stdout } = await lint([`--network_cni_config_dir=${dir.path}`]);
  assertStringIncludes(stdout, `${dir.path}/net.conf:6:16`);
});

Deno.test("--for says who reads the file: a stock agent takes no list, and no new version", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD);
  assertEquals(await codes("--for=isolator", file), []);
  assertEquals(await codes("--for=stock-agent", file), ["CNI116"]);
  const list = dir.file("net.conflist", `{"cniVersion":"1.0.0","name":"net","plugins":[${GOOD}]}`);
  assertEquals(await codes("--for=libcni", list), []);
  assertEquals((await codes("--for=stock-agent", list)).filter((one) => one !== "CNI113"), [
    "CNI116",
  ]);
  assertEquals((await lint(["--for=docker", file])).code, 2);
});

// A launcher in the file's place starts another program.
Deno.test("without --probe nothing but the named files is read, and nothing run", {
  ignore: !IS_COMPILED,
}, async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD);
  const trace = await new Deno.Command("strace", {
    args: ["-f", "-e", "trace=openat,execve", MESOS_CNI, "lint", file],
    stdout: "piped",
    stderr: "piped",
  }).output().catch(() => undefined);
  assert(trace, "strace is missing");
  const calls = new TextDecoder().decode(trace.stderr).split("\n");
  assertEquals(calls.filter((call) => call.includes("execve(")).length, 1);
  const opened = calls.map((call) => /openat\([^"]*"([^"]+)".*= \d+$/.exec(call)?.[1])
    .filter((path) => path?.startsWith(dir.path));
  assertEquals(opened, [file]);
});

Deno.test("--explain=all lists every rule, and a name is as good as a code", async () => {
  const { stdout } = await lint(["--explain=all"]);
  assertEquals(stdout.trim().split("\n").length, RULES.length);
  assertEquals(
    (await lint(["--explain=no-route-to-agent"])).stdout,
    (await lint(["--explain=cni414"])).stdout,
  );
});
