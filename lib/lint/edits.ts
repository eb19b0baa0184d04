/** Changes of a text that keep its formatting. */
import type { Node } from "jsonc-parser";
import type { Edit, Range } from "./range.ts";
import type { Fix, Safety } from "./rule.ts";

/** Writes another value, or another key, in the place of one. */
export function replacing(at: Range, value: string, title: string, safety: Safety = "safe"): Fix {
  const { offset, length } = at;
  return { safety, title, edits: [{ offset, length, content: JSON.stringify(value) }] };
}

/** Puts a key before all others of an object, laid out as the first of them is. */
export function insertFirst(text: string, object: Node, key: string, value: string): Edit {
  const offset = object.offset + 1;
  const first = object.children?.[0];
  const entry = `"${key}": ${JSON.stringify(value)}`;
  if (!first) return { offset, length: 0, content: entry };
  const space = text.slice(offset, first.offset);
  // Between two keys stands what stands before the first, or one space where that is nothing.
  return { offset: first.offset, length: 0, content: `${entry},${space || " "}` };
}
