/** In which order `./dev test` begins its files where no run has told how long they take. */
import { assertEquals } from "@std/assert";
import { slowestFirst, takingTurns } from "../../tools/test/jobs.ts";
import timesInCi from "../../tools/test/times.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);

Deno.test("CI's long files are files of the suite: one that got another name would begin last", () => {
  const isThere = (name: string) => {
    try {
      return Deno.statSync(new URL(name, ROOT)) !== undefined;
    } catch {
      return false;
    }
  };
  assertEquals(Object.keys(timesInCi).filter((name) => !isThere(name)), []);
});

Deno.test("who takes longest begins first: as measured here, as CI knows it, and others between", () => {
  const files = ["tests/e2e/new_test.ts", "tests/e2e/json_test.ts", "tests/machine/a_test.ts"];
  const order = (times: Record<string, number>) =>
    slowestFirst(
      files.map((name) => ({ name, files: [name], namespaces: [], permissions: [] })),
      times,
    ).map(({ name }) => name.replace(/.*\/(.*)_test\.ts/, "$1"));
  assertEquals(order({}), ["a", "json", "new"]);
  assertEquals(order({ "tests/e2e/json_test.ts": 1 }), ["a", "new", "json"]);
  assertEquals(order({ "tests/e2e/new_test.ts": 900 }), ["new", "a", "json"]);
});

Deno.test("long files take turns: a commit of an even hash and one of an odd hash make all, and each all of the short ones", () => {
  const short = "tests/e2e/short_test.ts";
  const files = [
    "tests/e2e/deb_test.ts",
    "tests/e2e/rollout_test.ts",
    short,
    "tests/e2e/install_test.ts",
  ];
  const [even, odd] = ["0".repeat(40), "1".repeat(40)].map((commit) => takingTurns(files, commit));
  assertEquals(even, ["tests/e2e/deb_test.ts", short, "tests/e2e/install_test.ts"]);
  assertEquals(odd, ["tests/e2e/rollout_test.ts", short]);
});
