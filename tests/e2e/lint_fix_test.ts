/** `mesos-cni lint --fix` as an operator calls it: what becomes of files, also where it is killed. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { MESOS_CNI } from "../harness/binary.ts";
import { codes, Directory, GOOD, lint, MENDABLE } from "../harness/lint_command.ts";

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
      // Killed behind its work, it leaves an empty directory, which goes with the next one's.
      Deno.writeTextFileSync(file, MENDABLE);
      const { stdout } = await lint(["--fix", file]);
      assertStringIncludes(stdout, "no findings in 1 file");
      assertEquals([...Deno.readDirSync(dir.path)].map((entry) => entry.name), ["net.conf"]);
      if (name === "renameat") assertEquals(signal, "SIGKILL", "the program was not killed");
    });
  }
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
