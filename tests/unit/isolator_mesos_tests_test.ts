/** The table of Mesos' tests names tests that exist. */
import { assertEquals } from "@std/assert";

Deno.test("docs/mesos-tests.md: each of Mesos' tests is there, carried over by a test that exists", () => {
  const docs = new URL("../../docs/", import.meta.url);
  const rows = Deno.readTextFileSync(new URL("mesos-tests.md", docs)).split("\n")
    .filter((line) => line.startsWith("| `"));
  const tests = rows.map((row) => {
    const [, name, , here] = row.split(" | ").length === 3 ? ["", ...row.split(" | ")] : [];
    const [, title, file] = here?.match(/^\[(.*)\]\((.*)\) \|$/) ?? [];
    return { name, title, file };
  });
  for (const { name, title, file } of tests) {
    const source = Deno.readTextFileSync(new URL(file!, docs));
    assertEquals(source.includes(`"${title}"`), true, `${name}: no test ${title} in ${file}`);
  }
  assertEquals(new Set(tests.map(({ name }) => name)).size, 20);
});
