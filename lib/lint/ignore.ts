/**
 * Findings that somebody has looked at and wants no more: of a network by the settings file, of a
 * place by the key `_lint_ignore` in its object, which no plugin reads (JSON has no comments).
 */
import type { Node } from "jsonc-parser";
import { onceEach } from "../base/once_each.ts";
import type { Range } from "./range.ts";
import type { Source } from "./source.ts";
import { everyIn, items, property, text } from "./tree.ts";

export const IGNORE_KEY = "_lint_ignore";

/** Objects that hold the key are looked for down to here. */
const DEPTH = 10;

export interface Ignore {
  /** The object in which the findings are. */
  within: Node;
  /** A code, the beginning of one, or a name. */
  rule: string;
  at: Node;
}

/** What a file itself wants no findings of. */
export const ignoresIn = onceEach(({ text, root }: Source): readonly Ignore[] =>
  // Most files have none, and are not walked.
  text.includes(IGNORE_KEY) ? [...everyIn(root, DEPTH)].flatMap(ignoresOf) : []
);

function ignoresOf(within: Node): Ignore[] {
  const value = property(within, IGNORE_KEY);
  const all = value?.type === "array" ? items(value) : value ? [value] : [];
  return all.map((at) => ({ within, rule: text(at) ?? "", at }));
}

/** Whether a finding is in an object. */
export function contains(within: Range, { offset }: Range): boolean {
  return within.offset <= offset && offset < within.offset + within.length;
}

/** Whether `rule` names a rule: its code or the beginning of it, or its name. */
export function names(rule: string, { code, name }: { code: string; name: string }): boolean {
  return rule === name || (/^CNI[0-9]{0,3}$/i.test(rule) && code.startsWith(rule.toUpperCase()));
}
