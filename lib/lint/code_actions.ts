/** What an editor can do about findings, as changes to the text. */
import { findNodeAtOffset, type Node } from "jsonc-parser";
import { IGNORE_KEY } from "./ignore.ts";
import { insertFirst } from "./edits.ts";
import { mend } from "./mend.ts";
import type { Edit } from "./range.ts";
import type { Diagnostic } from "./rule.ts";
import type { Source } from "./source.ts";
import { items, property } from "./tree.ts";

export interface Action {
  title: string;
  edits: Edit[];
}

/** The key `_lint_ignore` in the object that a finding is in; undefined where a key can't help. */
export function ignoring({ code, name, source, range }: Diagnostic): Action | undefined {
  if (!source.root || source.syntaxError || code.startsWith("CNI0")) return undefined;
  let node: Node | undefined = findNodeAtOffset(source.root, range.offset);
  while (node && node.type !== "object") node = node.parent;
  if (!node) return undefined;
  const there = property(node, IGNORE_KEY);
  const before = there?.type === "array" ? items(there).map(({ value }) => value) : [there?.value];
  return {
    title: `spare ${name} (${code}) here`,
    edits: [
      there
        ? {
          offset: there.offset,
          length: there.length,
          content: JSON.stringify([...before, name]).replaceAll('","', '", "'),
        }
        : insertFirst(source.text, node, IGNORE_KEY, name),
    ],
  };
}

/**
 * All that `--fix` would do to a file; undefined if that is nothing.
 *
 * @param check lints the files
 */
export function fixingAll(
  source: Source,
  check: (sources: readonly Source[]) => Diagnostic[],
): Action | undefined {
  const [repair] = mend([source], check, ["safe"]).repairs;
  if (!repair || repair.text === source.text) return undefined;
  return {
    title: "mend what can be mended (mesos-cni lint --fix)",
    edits: [{ offset: 0, length: source.text.length, content: repair.text }],
  };
}
