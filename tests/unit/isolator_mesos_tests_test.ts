/** The tables of tests, of Mesos and of what holds which attacker, name tests that exist. */
import { assert, assertEquals, assertMatch } from "@std/assert";

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

Deno.test("SECURITY.md: what each attacker can't do is held by tests that exist", () => {
  const root = new URL("../../", import.meta.url);
  const text = Deno.readTextFileSync(new URL("SECURITY.md", root));
  const tests = [...text.matchAll(/\[([^\]]+)\]\((tests\/[^)]+)\)/g)];
  for (const [, title, file] of tests) {
    // In a template, … stands for what differs from test to test.
    const parts = title!.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const quoted = new RegExp(`["\`]${parts.join("\\$\\{[^}]*\\}")}["\`],`);
    assertMatch(Deno.readTextFileSync(new URL(file!, root)), quoted, `${file} has no "${title}"`);
  }
  const attackers = [...text.matchAll(/^\| \*\*(.+)\*\* \| \|\n\| .+ \| \[/gm)].map(([, who]) =>
    who
  );
  assertEquals(attackers.length, 6);
  for (const who of attackers) assert(text.includes(`\n| ${who} | `), `${who} can do nothing?`);
});
