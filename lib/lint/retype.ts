/** Values of a wrong type whose right form is plain to see. */
import type { Node } from "jsonc-parser";
import type { Fix, Safety } from "./rule.ts";
import type { Type } from "./schema.ts";

/** What a value becomes; undefined if it could be meant in more than one way. */
export function retyped(node: Node, type: Type, source: string, safety: Safety): Fix | undefined {
  const literal = source.slice(node.offset, node.offset + node.length);
  const content = rewritten(node, type, literal);
  if (content === undefined) return undefined;
  const edits = [{ offset: node.offset, length: node.length, content }];
  if (content === `[${literal}]`) {
    // The brackets alone: what stands between them may be mended as well.
    edits.splice(
      0,
      1,
      { offset: node.offset, length: 0, content: "[" },
      { offset: node.offset + node.length, length: 0, content: "]" },
    );
  }
  const shown = (text: string) => text.length > 40 ? text.slice(0, 39).trimEnd() + "…" : text;
  return {
    safety,
    title: node.type === "object"
      ? "put the object into brackets"
      : `write ${shown(content)} in place of ${shown(literal)}`,
    edits,
  };
}

function rewritten(node: Node, type: Type, literal: string): string | undefined {
  const { value } = node;
  switch (type.kind) {
    case "boolean":
      return node.type === "string" && /^(true|false)$/i.test(value)
        ? value.toLowerCase()
        : undefined;
    case "integer":
      return node.type === "string" && /^(0|-?[1-9][0-9]{0,15})$/.test(value) ? value : undefined;
    case "string":
    case "choice":
      return node.type === "number" ? `"${literal}"` : undefined;
    case "list": {
      if (type.of.kind === "string" && node.type === "string") {
        return /^[^\s,]+$/.test(value) ? `[${literal}]` : undefined;
      }
      const of = type.of.kind === "object" ? "object" : undefined;
      // Of several, each or all may be meant to have brackets.
      const isAlone = node.parent?.type !== "array" || node.parent.children!.length === 1;
      return of && node.type === of && isAlone ? `[${literal}]` : undefined;
    }
  }
}
