/** CNI1xx: what a file says to the linter itself. */
import { IGNORE_KEY, ignoresIn, names } from "../ignore.ts";
import type { Rule } from "../rule.ts";
import { quote } from "../tree.ts";
import { bridge } from "./example.ts";

export const IGNORES: readonly Rule[] = [
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
    on: "document",
    *check({ source }, { rules }) {
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
];
