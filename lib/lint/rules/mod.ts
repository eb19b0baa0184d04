/** All rules, in the order of their codes. */
import type { Rule } from "../rule.ts";
import { ACROSS } from "./across.ts";
import { ADDRESSES } from "./addresses.ts";
import { FIELDS } from "./fields.ts";
import { FILES } from "./files.ts";
import { IGNORES } from "./ignores.ts";
import { LISTS } from "./lists.ts";
import { MACHINE } from "./machine.ts";
import { PORT_MAPPERS } from "./port_mapper.ts";
import { ROUTES } from "./routes.ts";
import { RUNTIME } from "./runtime.ts";
import { SPECIAL_ADDRESSES } from "./special_addresses.ts";
import { STRUCTURE } from "./structure.ts";
import { SYNTAX } from "./syntax.ts";
import { THIRD_PARTIES } from "./third_party.ts";
import { VERSION_RULES } from "./versions.ts";

export const RULES: readonly Rule[] = [
  ...SYNTAX,
  ...STRUCTURE,
  ...LISTS,
  ...IGNORES,
  ...VERSION_RULES,
  ...FILES,
  ...ACROSS,
  ...ADDRESSES,
  ...SPECIAL_ADDRESSES,
  ...ROUTES,
  ...FIELDS,
  ...RUNTIME,
  ...PORT_MAPPERS,
  ...THIRD_PARTIES,
  ...MACHINE,
].map((rule): Rule => ({ severity: "error", ...rule })).sort((a, b) => a.code < b.code ? -1 : 1);
