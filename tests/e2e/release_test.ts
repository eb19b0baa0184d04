import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { packagesOf, partFor } from "../../tools/release/packages.ts";
import { compile, makeWorkplace, TARGETS } from "../../tools/release/compile.ts";
import { notices } from "../../tools/release/notices.ts";
import { sbom } from "../../tools/release/sbom.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const MAP = join(ROOT, "tools/closed_network/import_map.json");
const CACHE = Deno.env.get("DENO_DIR") ?? join(ROOT, ".tools/deno_dir");
/** V8's flags: with others, what it makes of the program is not always the same. */
const ENGINE = /^readonly ENGINE=(.*)$/m.exec(
  Deno.readTextFileSync(join(ROOT, "tools/pack/build.sh")),
)![1]!;
/** What the bytes depend on, and not what they are, is tested: any base binary will do. */
const HAS_BASE = Deno.env.get("DENORT_BIN") !== undefined;

const MOST_TRIES = 6;

async function run(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(command, {
    args,
    stdout: "null",
    env: { GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z" },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** The program's files as they are now, as the commit of a repository of their own. */
async function committed(dir: string): Promise<string> {
  const repository = join(dir, "repository");
  await Deno.mkdir(repository);
  for (const name of ["deno.json", "deno.lock", "main.ts", "lib", "plugins", "tools"]) {
    await run("cp", "-r", join(ROOT, name), repository);
  }
  const git = (...args: string[]) => run("git", "-C", repository, ...args);
  await git("init", "--quiet");
  await git("add", ".");
  const author = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
  await git(...author, "commit", "--quiet", "--message=test");
  return repository;
}

Deno.test({
  name: "a commit gives the same bytes whenever and from wherever it is compiled",
  ignore: !HAS_BASE, // Deno's own would have to be downloaded, and tests have no network
  async fn() {
    const sums: string[] = [];
    const isRepeated = () => new Set(sums).size < sums.length;
    // Of a release, the same everywhere: Deno's cache is in it, and its path in the binary.
    const place = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
    // Calls of the training that a busy machine makes wait run other functions, and V8 collects its garbage
    // otherwise, which shows in what it keeps. What knew its time or its place would never be the same.
    for (let i = 0; i < MOST_TRIES && !isRepeated(); i++) {
      await Deno.mkdir(place, { recursive: true });
      const dir = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
      try {
        const repository = await committed(dir);
        const workplace = await makeWorkplace(
          repository,
          "HEAD",
          join(place, "build"),
          "stand-in",
          CACHE,
        );
        const binary = join(dir, "mesos-cni");
        const allowed = ["read", "write", "env", "run", "ffi"].map((what) => `--allow-${what}`);
        const target = TARGETS[Deno.build.arch === "x86_64" ? "x64" : "arm64"];
        await compile(workplace, target, [...allowed, ENGINE], binary);
        const version = await new Deno.Command(binary, { args: ["version"] }).output();
        assertStringIncludes(new TextDecoder().decode(version.stdout), "mesos-cni ");
        const bytes = await Deno.readFile(binary);
        assert(!new TextDecoder("latin1").decode(bytes).includes("fast-check"), "a test's package");
        sums.push(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).join());
      } finally {
        await Deno.remove(dir, { recursive: true });
        await Deno.remove(place, { recursive: true });
      }
    }
    assert(isRepeated(), `${sums.length} files, no two of which are the same`);
  },
});

Deno.test("the bill of materials and the notices name what is in the binary, and its licences", async () => {
  // Of the lock file's packages, those of tests are in no binary.
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(join(ROOT, name)));
  const [map, whole] = [await read("deno.json"), await read("deno.lock")];
  const own = ["jsonc-parser", "valibot"].map((name) => map.imports[name] as string);
  const { lock } = partFor(own, map, whole);
  const packages = await packagesOf(lock, CACHE);
  const bill = sbom({
    version: "1.2.3",
    deno: "2.6.8",
    date: "2026-01-01T00:00:00.000Z",
    commit: "c0ffee",
    binaries: { "mesos-cni-1.2.3-linux-x64": "ab".repeat(32) },
  }, packages) as {
    components: { purl: string; hashes?: { content: string }[] }[];
    dependencies: { dependsOn: string[] }[];
  };
  const purls = bill.components.map(({ purl }) => purl);
  assert(purls.some((purl) => purl.startsWith("pkg:npm/valibot@")));
  assertEquals(purls.length, Object.keys(lock.npm).length + 1);
  assertEquals(bill.dependencies[0]!.dependsOn, purls);
  for (const { hashes } of bill.components.slice(1)) {
    assertMatch(hashes![0]!.content, /^[0-9a-f]{128}$/);
  }
  const text = notices("2.6.8", packages);
  for (const { name, licenseText } of packages) {
    assertStringIncludes(text, `\n${name} `);
    assertStringIncludes(text, licenseText);
    assert(licenseText !== "", `the licence of ${name}`);
  }
});

Deno.test("what comes from JSR is in the bill with the lock's hash, and not made without one", () => {
  const path = "jsr:@std/path@1.1.6";
  const lock = {
    version: "5",
    specifiers: { [path]: "1.1.6", "jsr:@std/internal@^1.0.12": "1.0.14", "jsr:@std/x@1": "1.0.0" },
    npm: {},
  };
  const jsr = {
    "@std/path@1.1.6": { integrity: "ab".repeat(32), dependencies: ["jsr:@std/internal"] },
    "@std/internal@1.0.14": { integrity: "cd".repeat(32) },
    "@std/x@1.0.0": { integrity: "ef".repeat(32) },
  };
  const map = { imports: { "@std/path": path, "@std/x": "jsr:@std/x@1" } };
  // Deno lists what a package needs beside what the program needs.
  const used = [path, "jsr:@std/internal@^1.0.12/os"];
  const part = partFor(used, map, { ...lock, jsr });
  assertEquals(Object.keys(part.lock.jsr!), ["@std/path@1.1.6", "@std/internal@1.0.14"]);
  assertEquals(Object.keys(part.lock.specifiers), [path, "jsr:@std/internal@^1.0.12"]);
  assertEquals(part.importMap.imports, { "@std/path": path });
  assertThrows(() => partFor([path], map, lock), Error, "./dev lock");
});

async function release(std: string, env: Record<string, string>): Promise<string> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", `--import-map=${MAP}`].concat(
      [join(ROOT, "tools/release/main.ts"), std],
    ),
    env,
  }).output();
  assertEquals(code, 1);
  return new TextDecoder().decode(stderr);
}

Deno.test("no release is made on another base binary than Deno's own", async () => {
  const said = await release("jsr", { DENORT_BIN: "/tmp/some-other-denort" });
  assertStringIncludes(said, "DENORT_BIN is set");
});

Deno.test("no release is made with our own modules in place of @std", async () => {
  const said = await release("stand-in", { DENORT_BIN: "" });
  assertStringIncludes(said, "JSR is out of reach");
});
