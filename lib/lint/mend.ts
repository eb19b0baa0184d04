/** Mends files in memory, round after round, until there is nothing left to mend. */
import { type Repair, repairs } from "./fix.ts";
import type { Diagnostic } from "./rule.ts";
import { Source } from "./source.ts";

/** Fixes that touch each other take more than one round. */
const MOST_ROUNDS = 5;

export interface Mended {
  /** The files as they would be. */
  sources: readonly Source[];
  /** What is left to say of them. */
  diagnostics: readonly Diagnostic[];
  /** What to write, from the first text of each file to the last. */
  repairs: readonly Repair[];
}

/** @param check lints the files */
export function mend(
  first: readonly Source[],
  check: (sources: readonly Source[]) => Diagnostic[],
): Mended {
  const made = new Map<string, Repair>();
  let sources = first;
  let diagnostics = check(sources);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const planned = repairs(diagnostics);
    if (planned.length === 0) break;
    const after = new Map<Source, Source>();
    for (const { source, text, mode, fixes } of planned) {
      const earlier = made.get(source.path);
      made.set(source.path, {
        source: earlier?.source ?? source,
        text,
        mode: mode ?? earlier?.mode,
        fixes: [...earlier?.fixes ?? [], ...fixes],
      });
      after.set(
        source,
        new Source({
          path: source.path,
          content: new TextEncoder().encode(text),
          listed: source.listed,
          facts: source.facts && { ...source.facts, mode: mode ?? source.facts.mode },
        }),
      );
    }
    sources = sources.map((source) => after.get(source) ?? source);
    diagnostics = check(sources);
  }
  return { sources, diagnostics, repairs: [...made.values()] };
}

/** What a repair does, a line for each fix: `net.conf:5: write "10.1.0.0/16"`. */
export function describe({ source, fixes }: Repair): string[] {
  return fixes.map(({ source: at, range, fix, code }) =>
    `${source.path}:${at.position(range.offset).line}: ${fix!.title} (${code})`
  );
}
