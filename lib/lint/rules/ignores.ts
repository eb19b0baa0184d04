/** CNI1xx: what a file says to the linter itself. */
import type { Node } from "jsonc-parser";
import { contains, IGNORE_KEY, ignoresIn, names } from "../ignore.ts";
import type { Fix, WrittenRule } from "../rule.ts";
import { quote } from "../tree.ts";
import { bridge } from "./example.ts";

export const IGNORES: readonly WrittenRule[] = [
  {
    code: "CNI120",
    name: "unknown-ignore",
    severity: "warning",
    title: `"${IGNORE_KEY}" names no rule`,
    why:
      `"${IGNORE_KEY}" in an object keeps findings in it from being shown: a name or code of a rule, ` +
      "the beginning of a code, or a list of these. What names no rule silences nothing.",
    bad: bridge({ [IGNORE_KEY]: "no-route-to-agnt" }),
    good: bridge({ [IGNORE_KEY]: "no-route-to-agent" }),
    *ofNetwork({ source }, { rules }) {
      for (const { rule, at } of ignoresIn(source)) {
        if (!rules || rules.some((one) => names(rule, one))) continue;
        yield {
          at,
          message: `there is no rule ${quote(rule)}`,
          help: "mesos-cni lint --explain=all lists the rules",
        };
      }
    },
  },
  {
    code: "CNI121",
    name: "unused-ignore",
    severity: "info",
    title: `"${IGNORE_KEY}" spares nothing`,
    why:
      "What it was for has been mended, or it stands in another object. Left in place, it would hide the " +
      "next finding of its kind. Of rules that look at the machine, at other files or at the file's mode, " +
      "nothing is said.",
    bad: bridge({ [IGNORE_KEY]: "no-route-to-agent" }),
    good: bridge({ [IGNORE_KEY]: "no-route-to-agent" }, { routes: undefined }),
    fix: "safe",
    *ofNetwork({ source }, { rules, unspared }) {
      const ignores = ignoresIn(source);
      if (ignores.length === 0 || !rules || !unspared) return;
      const found = unspared(source);
      for (const { rule, at, within } of ignores) {
        const named = rules.filter((one) => names(rule, one));
        if (named.length === 0 || named.some(({ code }) => ELSEWHERE.test(code))) continue;
        const isUsed = found.some((one) => names(rule, one) && contains(within, one.range));
        if (isUsed) continue;
        yield {
          at,
          message: `${quote(rule)} finds nothing here that could be spared`,
          help: "delete it",
          fix: withoutItem(source.text, at),
        };
      }
    },
  },
];

/** Rules that know more than the file. */
const ELSEWHERE = /^CNI[238]/;

/** Takes an item out of its list, or a key with its value out of its object. */
function withoutItem(text: string, value: Node): Fix | undefined {
  const entry = value.parent?.type === "array" && value.parent.children!.length > 1
    ? value
    : value.parent?.type === "array"
    ? value.parent.parent
    : value.parent;
  const siblings = entry?.parent?.children;
  if (!entry || !siblings) return undefined;
  const place = siblings.indexOf(entry);
  const [before, after] = [siblings[place - 1], siblings[place + 1]];
  const from = after || !before ? entry.offset : before.offset + before.length;
  const to = after ? after.offset : entry.offset + entry.length;
  return {
    safety: "safe",
    title: `delete ${quote(text.slice(entry.offset, entry.offset + entry.length))}`,
    edits: [{ offset: from, length: to - from, content: "" }],
  };
}
