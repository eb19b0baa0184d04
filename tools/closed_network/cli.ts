/** The functions of `@std/cli` that this project uses, over node:util. */
import { parseArgs as parse } from "node:util";
import type { Args, Cli } from "./signatures.ts";

/**
 * As `parseArgs` of `@std/cli`: a string flag without a value is the empty string, a boolean
 * flag that is absent is false, a collected one that is absent an empty array; operands that look like
 * numbers become numbers unless "_" is among the strings.
 */
export const parseArgs: Cli["parseArgs"] = (args, options = {}) => {
  const { boolean = [], string = [], collect = [], unknown = () => true } = options;
  const { tokens } = parse({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries([
      ...boolean.map((name) => [name, { type: "boolean" as const }]),
      ...string.map((name) => [name, { type: "string" as const, multiple: true }]),
    ]),
  });
  const isNumber = (text: string) => /\S/.test(text) && Number.isFinite(Number(text));
  const operand = (text: string) => !string.includes("_") && isNumber(text) ? Number(text) : text;
  const result: Args = { _: [] };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];
  let rest: string[] | undefined;
  for (const token of tokens) {
    if (token.kind === "option-terminator") {
      rest = [];
    } else if (token.kind === "positional") {
      if (rest && options["--"]) rest.push(token.value);
      else if (unknown(token.value) !== false) result._.push(operand(token.value));
    } else if (boolean.includes(token.name)) {
      result[token.name] = token.value === undefined || token.value === "true";
    } else if (string.includes(token.name)) {
      // A value of "--x" is another flag, not a value, unless written with "=".
      const value = token.value ?? "";
      if (collect.includes(token.name)) (result[token.name] as string[]).push(value);
      else result[token.name] = value;
    } else {
      unknown(token.rawName, token.name, token.value);
    }
  }
  if (options["--"]) result["--"] = rest ?? [];
  return result;
};
