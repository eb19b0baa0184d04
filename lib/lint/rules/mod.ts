/** All rules, by code. */
import type { Rule } from "../rule.ts";
import { ADDRESSES } from "./addresses.ts";
import { FIELDS } from "./fields.ts";
import { STRUCTURE } from "./structure.ts";
import { SYNTAX } from "./syntax.ts";

export const RULES: readonly Rule[] = [
  ...SYNTAX,
  ...STRUCTURE,
  ...ADDRESSES,
  ...FIELDS,
];
