/** Mends files in memory, round after round, until there is nothing left to mend. */
import { dirname } from "@std/path";
import { type Repair, repairs } from "./fix.ts";
import type { Diagnostic, Safety } from "./rule.ts";
import { Source } from "./source.ts";

/** Fixes that touch each other, or are made one by one, take a round each. */
const MOST_ROUNDS = 50;

export interface Mended {
  /** What is left to say of the files. */
  diagnostics: readonly Diagnostic[];
  /** What to write, from the first text of each file to the last. */
  repairs: readonly Repair[];
}

/** @param check lints the files @param safeties which fixes to make */
export function mend(
  first: readonly Source[],
  check: (sources: readonly Source[]) => Diagnostic[],
  safeties: readonly Safety[],
): Mended {
  const made = new Map<string, Repair>();
  /** Files whose fixes are made one by one, since one of them does harm, with those that do. */
  const harmful = new Map<string, Set<string>>();
  let sources = first;
  let diagnostics = check(sources);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const wanted = diagnostics.filter((found) =>
      found.fix && safeties.includes(found.fix.safety) &&
      !harmful.get(found.source.path)?.has(nameOf(found))
    );
    const planned = repairs(wanted, (source) => harmful.has(source.path));
    if (planned.length === 0) break;
    const after = new Map(planned.map((repair) => [repair.source, become(repair)]));
    const next = sources.map((source) => after.get(source) ?? source);
    const found = check(next);
    const failing = pathsOfErrors(diagnostics);
    // A network may be in its neighbours' way only once it is mended.
    const worse = new Set(
      [...pathsOfErrors(found)].filter((path) => !failing.has(path)).map(dirname),
    );
    const harmed = planned.filter(({ source }) => worse.has(dirname(source.path)));
    for (const { source: { path }, fixes } of harmed) {
      // Alone, it is the one that does the harm.
      const names = harmful.get(path) ?? new Set();
      if (fixes.length === 1) names.add(nameOf(fixes[0]!));
      harmful.set(path, names);
    }
    if (harmed.length > 0) continue;
    for (const { source, text, mode, fixes } of planned) {
      const earlier = made.get(source.path);
      made.set(source.path, {
        source: earlier?.source ?? source,
        text,
        mode: mode ?? earlier?.mode,
        fixes: [...earlier?.fixes ?? [], ...fixes],
      });
    }
    [sources, diagnostics] = [next, found];
  }
  return { diagnostics, repairs: [...made.values()] };
}

function become({ source, text, mode }: Repair): Source {
  return new Source({
    path: source.path,
    content: new TextEncoder().encode(text),
    listed: source.listed,
    facts: source.facts && { ...source.facts, mode: mode ?? source.facts.mode },
  });
}

/** The same fix in a text that another one has changed before it. */
function nameOf({ code, fix, message }: Diagnostic): string {
  return `${code} ${fix!.title} ${message}`;
}

function pathsOfErrors(found: readonly Diagnostic[]): Set<string> {
  return new Set(
    found.filter(({ severity }) => severity === "error").map(({ source }) => source.path),
  );
}

/** What a repair does, a line for each fix: `net.conf:5: write "10.1.0.0/16"`. */
export function describe({ source, fixes }: Repair): string[] {
  return fixes.map(({ source: at, range, fix, code }) =>
    `${source.path}:${at.position(range.offset).line}: ${fix!.title} (${code})`
  );
}
