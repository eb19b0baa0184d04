/** All rules, by code. */
import type { Rule } from "../rule.ts";
import { ACROSS } from "./across.ts";
import { ADDRESSES } from "./addresses.ts";
import { FIELDS } from "./fields.ts";
import { FILES } from "./files.ts";
import { MACHINE } from "./machine.ts";
import { PORT_MAPPERS } from "./port_mapper.ts";
import { STRUCTURE } from "./structure.ts";
import { SYNTAX } from "./syntax.ts";
import { THIRD_PARTIES } from "./third_party.ts";

export const RULES: readonly Rule[] = [
  ...SYNTAX,
  ...STRUCTURE,
  ...FILES,
  ...ACROSS,
  ...ADDRESSES,
  ...FIELDS,
  ...PORT_MAPPERS,
  ...THIRD_PARTIES,
  ...MACHINE,
];
