/** `mesos-cni lint` as an operator calls it: the compiled program, files, exit codes. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { CNI_PLUGINS, IS_COMPILED, MESOS_CNI } from "../harness/binary.ts";
import { codes, Directory, GOOD, lint, report } from "../harness/lint_command.ts";
import { RULES } from "../../lib/lint/rules/mod.ts";

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

Deno.test("standard input is a file called <stdin>", async () => {
  const { code, stdout } = await lint(["-"], { stdin: '{"name": "net"' });
  assertEquals(code, 1);
  assertStringIncludes(stdout, "--> <stdin>:1:15");
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

Deno.test("--plugins-dir finds what is not installed", async () => {
  using dir = new Directory();
  const file = dir.file("net.conf", GOOD.replace('"host-local"', '"hostlocal"'));
  assertEquals(await codes(file), ["CNI117"]);
  const flag = `--network_cni_plugins_dir=/nowhere:${CNI_PLUGINS}`;
  assertEquals(await codes(flag, file), ["CNI206"]);
  assertEquals(await codes(`--plugins-dir=/nowhere:${CNI_PLUGINS}`, file), ["CNI206"]);
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

Deno.test("a pipe that comes to a file's place while it is looked at is no file, and is waited for by nobody", async () => {
  using dir = new Directory();
  const path = dir.file("net.conf", GOOD);
  const trace = join(dir.path, "trace");
  // The open comes so long after the look that what follows is there before.
  const strace = ["-f", "-qq", "-o", trace, "-P", path, "-e", "trace=statx,stat,openat"];
  const child = new Deno.Command("strace", {
    args: [...strace, "-e", "inject=openat:delay_enter=8000000", MESOS_CNI, "lint", dir.path],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(60_000),
  }).spawn();
  const output = child.output();
  // It stands at the open once there are no more looks.
  for (let before = "", now = ""; now === "" || now !== before;) {
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 300));
    now = await Deno.readTextFile(trace).catch(() => "");
  }
  await Deno.remove(path);
  await new Deno.Command("mkfifo", { args: [path] }).output();
  assertStringIncludes(new TextDecoder().decode((await output).stdout), "CNI202");
});
