/** All rules, in the order of their codes. */
import type { Rule } from "../rule.ts";
import { ACROSS } from "./across.ts";
import { ADDRESSES } from "./addresses.ts";
import { FIELDS } from "./fields.ts";
import { FILES } from "./files.ts";
import { MACHINE } from "./machine.ts";
import { PORT_MAPPERS } from "./port_mapper.ts";
import { ROUTES } from "./routes.ts";
import { STRUCTURE } from "./structure.ts";
import { SYNTAX } from "./syntax.ts";
import { THIRD_PARTIES } from "./third_party.ts";
import { VERSION_RULES } from "./versions.ts";

export const RULES: readonly Rule[] = [
  ...SYNTAX,
  ...STRUCTURE,
  ...VERSION_RULES,
  ...FILES,
  ...ACROSS,
  ...ADDRESSES,
  ...ROUTES,
  ...FIELDS,
  ...PORT_MAPPERS,
  ...THIRD_PARTIES,
  ...MACHINE,
].sort((a, b) => a.code < b.code ? -1 : 1);
