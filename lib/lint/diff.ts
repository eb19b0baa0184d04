/** What a repair changes, as a unified diff that `patch` understands. */
import type { Repair } from "./fix.ts";

const CONTEXT = 3;

/** @returns the diff without a newline at its end; a change of mode or of the mark is a line of its own */
export function unifiedDiff({ source, text, mode }: Repair): string {
  const lines: string[] = [];
  if (mode !== undefined) {
    lines.push(`# ${source.path}: mode ${octal(source.facts?.mode ?? 0)} becomes ${octal(mode)}`);
  }
  if (source.hasBom) lines.push(`# ${source.path}: the byte order mark goes`);
  if (text !== source.text) {
    lines.push(`--- ${source.path}`, `+++ ${source.path}`, ...hunks(source.text, text));
  }
  return lines.join("\n");
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

function split(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  else lines.push(`${lines.pop()}\n\\ No newline at end of file`);
  return lines;
}

interface Change {
  /** Lines of the old text, from 0, end excluded. */
  from: number;
  to: number;
  /** Lines of the new text. */
  newFrom: number;
  newTo: number;
}

function hunks(before: string, after: string): string[] {
  const [old, now] = [split(before), split(after)];
  const groups: Change[][] = [];
  for (const change of changes(old, now)) {
    const last = groups.at(-1);
    if (last && change.from - last.at(-1)!.to <= 2 * CONTEXT) last.push(change);
    else groups.push([change]);
  }
  return groups.flatMap((group) => {
    const [first, last] = [group[0]!, group.at(-1)!];
    const from = Math.max(0, first.from - CONTEXT);
    const to = Math.min(old.length, last.to + CONTEXT);
    const newFrom = first.newFrom - (first.from - from);
    const newTo = last.newTo + (to - last.to);
    const lines = [`@@ -${span(from, to)} +${span(newFrom, newTo)} @@`];
    let at = from;
    for (const change of group) {
      for (; at < change.from; at++) lines.push(` ${old[at]}`);
      for (; at < change.to; at++) lines.push(`-${old[at]}`);
      for (let i = change.newFrom; i < change.newTo; i++) lines.push(`+${now[i]}`);
    }
    for (; at < to; at++) lines.push(` ${old[at]}`);
    return lines;
  });
}

/** Line numbers of a hunk: an empty one names the line before it. */
function span(from: number, to: number): string {
  return `${to > from ? from + 1 : from},${to - from}`;
}

/**
 * Where the lines differ. A fix never moves lines: a line that is in both texts near the place
 * where they part is where they meet again.
 */
function changes(old: string[], now: string[]): Change[] {
  const found: Change[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (old[i] === now[j]) {
      i++;
      j++;
      continue;
    }
    const [from, newFrom] = [i, j];
    [i, j] = meeting(old, now, i, j);
    found.push({ from, to: i, newFrom, newTo: j });
  }
  return found;
}

function meeting(old: string[], now: string[], i: number, j: number): [number, number] {
  for (let distance = 1; distance < old.length + now.length; distance++) {
    for (let k = 0; k <= distance; k++) {
      const [a, b] = [i + distance - k, j + k];
      if (a < old.length && b < now.length && old[a] === now[b]) return [a, b];
    }
  }
  return [old.length, now.length];
}
