/** Which rules `mesos-cni lint` goes by: flags, files of settings, places that are spared. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { codes, Directory, GOOD, lint, type Report } from "../harness/lint_command.ts";

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
    '"_lint_ignore": ["CNI414", "CNI406"], "type": "host',
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
