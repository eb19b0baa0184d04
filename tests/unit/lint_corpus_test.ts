/**
 * Breakages as people make them, by authors who did not know the rules: reported at the right
 * place, as bad as they are. What is expected was found out by libcni and the plugins of Debian
 * (1.1.1) and of 1.6.2, which had to agree; of "decided" ones by what the plugins and their
 * documents say, before the linter was run: as it was then, it reported 149 of 173 so, 159 of the
 * 162 slips made in real configs, and 160 of 160 values put into the wrong place or brackets there.
 */
import { assert } from "@std/assert";
import { join } from "@std/path";
import { lint } from "../../lib/lint/lint.ts";
import type { Diagnostic } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { type Breakage, breakages } from "../fixtures/lint/corpus.ts";
import { fakeMachine } from "../fixtures/lint/machine.ts";

function source(name: string, text: string): Source {
  return new Source({ path: join("net.d", name), content: new TextEncoder().encode(text) });
}

for (const half of ["open", "held", "decided"]) {
  const all = breakages().filter((breakage) => breakage.half === half);
  Deno.test(`breakages, ${half} half: 98 of 100 at the right place and severity`, async (t) => {
    const missed = all.filter((breakage) => !isReported(breakage));
    const rate = 1 - missed.length / all.length;
    for (const { id, kind } of missed) console.log(`missed: ${id} ${kind}`);
    await t.step(
      `${all.length - missed.length} of ${all.length} (${(100 * rate).toFixed(1)} %)`,
      () => assert(rate >= 0.98),
    );
  });
}

function isReported(breakage: Breakage): boolean {
  const mine = source(breakage.name, breakage.text);
  const others = (breakage.with ?? []).map((other) => source(other.name, other.text));
  const found = lint([...others, mine], new Settings(), {
    reader: breakage.for,
    // What a path leads to, and what the kernel knows, is only asked with --probe.
    machine: /resolvConf|sysctl/.test(breakage.kind) ? fakeMachine() : undefined,
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
