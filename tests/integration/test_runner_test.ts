/** `tools/test`: what a file that hangs, one that waits, and one that is never run count as. */
import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";

const MAIN = fromFileUrl(new URL("../../tools/test/main.ts", import.meta.url));

/** Test files of a few lines; each is a job of its own. */
const FILES = {
  "tests/e2e/hangs_test.ts": `Deno.test("hangs", () => new Promise((end) => setTimeout(end, 1e8)))`,
  "tests/e2e/passes_test.ts": `Deno.test("passes", () => {})`,
};

/** The runner on files of its own: one at a time, in this order. */
async function runTests(files: (keyof typeof FILES)[], env: Record<string, string>) {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
  try {
    await Deno.mkdir(`${dir}/tests/e2e`, { recursive: true });
    await Deno.mkdir(`${dir}/dist/tests`, { recursive: true });
    for (const name of files) await Deno.writeTextFile(`${dir}/${name}`, FILES[name]);
    // The slowest begins first.
    const times = files.map((name, i) => [name, 100 - i]);
    await Deno.writeTextFile(
      `${dir}/dist/tests/times.json`,
      JSON.stringify(Object.fromEntries(times)),
    );
    const flags = ["run", "--quiet", "--no-check", "--no-config", "--allow-all"];
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [...flags, MAIN, "--no-config", "--no-lock", "--no-check", "--", ...files],
      cwd: dir,
      env: { MESOS_CNI_TEST_JOBS: "1", ...env },
      stdin: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout) };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("a file that hangs is cut off, and one that waited for it passes all the same", async () => {
  const { code, stdout } = await runTests(
    ["tests/e2e/hangs_test.ts", "tests/e2e/passes_test.ts"],
    { MESOS_CNI_TEST_TIMEOUT: "20" },
  );
  assertMatch(stdout, /cut off: a file has 20 s \(MESOS_CNI_TEST_TIMEOUT\)/);
  assertMatch(stdout, /^FAILED {2}tests\/e2e\/hangs_test\.ts/m);
  assertMatch(stdout, /^ok {2}tests\/e2e\/passes_test\.ts/m);
  assertMatch(stdout, /\n1 passed, 1 failed\n$/);
  assertEquals(code, 1);
});

Deno.test("what is not run before all time is used up is named, and has failed", async () => {
  const { code, stdout } = await runTests(
    ["tests/e2e/hangs_test.ts", "tests/e2e/passes_test.ts"],
    { MESOS_CNI_TEST_TOTAL: "2" },
  );
  assertMatch(stdout, /cut off: all files together have 2 s \(MESOS_CNI_TEST_TOTAL\)/);
  assertMatch(stdout, /not run: all files together have 2 s/);
  assertMatch(stdout, /\n0 passed, 2 failed\n$/);
  assertEquals(code, 1);
});
