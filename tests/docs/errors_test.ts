/** docs/errors.md against the code: every code with what it says, and nothing that is gone. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { CNI_CODES } from "../../lib/cni/error.ts";
import { CODES } from "../../lib/facts/words.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const page = Deno.readTextFileSync(join(ROOT, "docs/errors.md"));

/** What no `OperatorError` names: wrong calls, defects, and what the service says of HTTP itself. */
const OTHER_CODES = ["usage", "defect", "bad_request"];

const sources = ["lib", "plugins"].flatMap((directory) => listSources(join(ROOT, directory)))
  .map((path) => Deno.readTextFileSync(path));

/** The rows of the page's tables under a heading, as their cells. */
function rowsOf(heading: string): string[][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return section.split("\n").filter((line) => /^\| [`0-9]/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const HEADINGS = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading!);
const NOT_OF_COMMANDS = ["Errors of plugins", "HEALTH", "Findings"];
const rows = HEADINGS.filter((heading) => !NOT_OF_COMMANDS.includes(heading)).flatMap(rowsOf);

Deno.test("the index of errors has every code that the program can print, and no other", () => {
  const printed = new Set(OTHER_CODES);
  for (const source of sources) {
    for (const [, code] of source.matchAll(/OperatorError\(\s*"([a-z_]+)"/g)) printed.add(code!);
    for (const [, code] of source.matchAll(/super\("([a-z_]+)"/g)) printed.add(code!);
  }
  assert(printed.size > 70);
  const documented = rows.map(([code]) => code!.replaceAll("`", ""));
  assertEquals(documented.toSorted(), [...printed].toSorted());
});

Deno.test("the index of errors quotes messages as the program has them", () => {
  // What stands in brackets is no quotation. Sentences over several lines, as one; what is filled in, as the page writes it.
  const text = sources.join("\n").replaceAll(/[`"]\s*\+\s*[`"]/g, "")
    .replaceAll(/\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g, "…").replaceAll("\\n", " ");
  const wrong = rows.flatMap(([code, says]) =>
    says!.split(" · ").filter((message) => !/^\(.*\)$/.test(message))
      .flatMap((message) => message.split("…")).map((piece) => piece.trim())
      .filter((piece) => /[a-z]{4}/.test(piece) && !text.includes(piece))
      .map((piece) => `${code}: ${piece}`)
  );
  assertEquals(wrong, []);
});

Deno.test("the index of errors has every number of a plugin", () => {
  const documented = rowsOf("Errors of plugins").map(([code]) => Number(code));
  assertEquals(documented, Object.values(CNI_CODES).toSorted((a, b) => a - b));
});

Deno.test("the debug shell's document has every code of a finding", () => {
  const document = Deno.readTextFileSync(join(ROOT, "docs/netns.md"));
  assertEquals(CODES.filter((code) => !document.includes(`\`${code}\``)), []);
  const named = [...document.split("## Causes")[1]!.matchAll(/`([a-z_0-9]+)`/g)].map(([, code]) =>
    code!
  );
  assertEquals(named.filter((code) => code.includes("_") && !isCode(code)), []);
});

function isCode(word: string): boolean {
  return (CODES as string[]).includes(word);
}

function listSources(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory ? listSources(path) : entry.name.endsWith(".ts") ? [path] : [];
  });
}
