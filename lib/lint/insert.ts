/** Insertions that keep a file's formatting. */
import type { Node } from "jsonc-parser";
import { type Edit } from "./range.ts";

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
