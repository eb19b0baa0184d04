/**
 * Real configs of public repositories, and breakages as people make them, by an author who did
 * not know the rules: what works gets no error, what fails gets one, at the right place. What is
 * expected was found out by libcni and the plugins of Debian (1.1.1) and of 1.6.2, which had to
 * agree; `repo`, `path` and `commit` of a config are where it is from.
 */
import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import { lint } from "../../lib/lint/lint.ts";
import type { Reader } from "../../lib/lint/reader.ts";
import type { Diagnostic } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { fakeMachine } from "../fixtures/lint/machine.ts";

const FIXTURES = join(dirname(fromFileUrl(import.meta.url)), "../fixtures/lint/corpus");
const HALVES = ["open", "held"];

interface Config {
  file: string;
  repo: string;
  expect: "ok" | "error";
  text: string;
}

interface Breakage {
  id: string;
  kind: string;
  for: Reader;
  severity: "error" | "warning";
  line: number;
  column: number;
  /** Where to point at is a matter of taste. */
  place?: "loose";
  name: string;
  /** Other files of the directory. */
  with?: { name: string; text: string }[];
  text: string;
}

/** Of what is expected, what the linter doesn't say for a reason. */
const EXCEPTIONS: Record<string, string> = {
  "279.conf": "ipvlan without ipam fails; the kernel it was tried on has no ipvlan",
  "115.conf": "a string for portIsolation: only plugins that are older than the key take it",
  "207.conf": "its stub called no IPAM plugin; host-local refuses the subnet",
};

function read<T>(name: string): T[] {
  return JSON.parse(Deno.readTextFileSync(join(FIXTURES, name)));
}

function source(name: string, text: string): Source {
  return new Source({ path: join("net.d", name), content: new TextEncoder().encode(text) });
}

Deno.test("real configs: no false error, and what is known to fail is one", () => {
  for (const half of HALVES) {
    const wrong: string[] = [];
    for (const { file, repo, expect, text } of read<Config>(`configs-${half}.json`)) {
      if (file in EXCEPTIONS) continue;
      const errors = lint([source(file, text)], new Settings(), {})
        .filter((found) => found.severity === "error");
      if ((errors.length > 0) !== (expect === "error")) {
        wrong.push(`${file} of ${repo} is ${expect}: ${errors.map((one) => one.message)}`);
      }
    }
    assertEquals(wrong, []);
  }
});

for (const half of HALVES) {
  const breakages = read<Breakage>(`breakages-${half}.json`);
  Deno.test(`breakages, ${half} half: 98 of 100 at the right place and severity`, async (t) => {
    const missed = breakages.filter((breakage) => !isReported(breakage));
    const rate = 1 - missed.length / breakages.length;
    for (const { id, kind } of missed) console.log(`missed: ${id} ${kind}`);
    await t.step(
      `${breakages.length - missed.length} of ${breakages.length} (${(100 * rate).toFixed(1)} %)`,
      () => assert(rate >= 0.98),
    );
  });
}

function isReported(breakage: Breakage): boolean {
  const mine = source(breakage.name, breakage.text);
  const others = (breakage.with ?? []).map((other) => source(other.name, other.text));
  const found = lint([...others, mine], new Settings(), {
    reader: breakage.for,
    // What a path leads to is only asked with --probe.
    machine: breakage.kind.includes("resolvConf") ? fakeMachine() : undefined,
  });
  return found.some((one) =>
    one.source === mine && one.severity === breakage.severity && isThere(one, breakage)
  );
}

/** On the line; for what an object lacks, at the object's opening or at its own "type" or key. */
function isThere(found: Diagnostic, { line, column, place, text }: Breakage): boolean {
  const at = found.source.position(found.range.offset);
  if (place === "loose" || at.line === line) return true;
  const opening = text.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) +
    column - 1;
  return text[opening] === "{" && depthBetween(text, opening, found.range.offset) === 1;
}

/** How deep a place lies in the object that opens at `from`; 0 if it is behind it. */
function depthBetween(text: string, from: number, to: number): number {
  let depth = 0;
  for (const character of text.slice(from, to)) {
    if ("{[".includes(character)) depth += 1;
    if ("}]".includes(character) && --depth === 0) return 0;
  }
  return depth;
}
