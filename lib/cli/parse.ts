import { lookup, quote } from "../base/json.ts";
import { parseArgs } from "@std/cli";
import {
  type Call,
  type Command,
  COMMON_FLAGS,
  type Flag,
  type Program,
  UsageError,
  wrongFound,
} from "./command.ts";
import { nearest } from "../base/nearest.ts";

interface Parsed {
  _: (string | number)[];
  "--"?: string[];
  [name: string]: unknown;
}

/**
 * Parses a command's arguments by its table of flags.
 *
 * @throws {UsageError} for a flag that is unknown, lacks its value, or has one too many or another one
 */
export function parseCall(command: Command, args: readonly string[], program: Program): Call {
  const flags = [...command.flags, ...COMMON_FLAGS];
  const valued = flags.filter(({ value }) => value).map(({ name }) => key(name));
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  // The names of the flags come from a table, so that parseArgs can't infer the values' types.
  const parsed: Parsed = parseArgs(
    [...own.map((arg) => canonical(arg, flags)), ...args.slice(own.length)],
    {
      "--": true,
      boolean: flags.filter(({ value }) => !value).map(({ name }) => key(name)),
      // "_" are the operands: parseArgs would make numbers of ids such as 7e12 and 0x1f.
      string: ["_", ...valued],
      collect: valued,
    },
  );
  const found = (name: string) => {
    const flag = flags.find((flag) => flag.found && flag.name === name);
    const known = flag && program.found(key(name));
    if (known && !isChoice(flag, known.value)) {
      const all = [flag.complete].flat().join(", ");
      throw wrongFound(known, `${name} is ${quote(known.value)}, none of ${all}`);
    }
    return known?.value;
  };
  const valuesOf = (name: string) => parsed[key(name)] as string[];
  for (const flag of flags) {
    if (!flag.value) continue;
    const values = valuesOf(flag.name);
    if (values.includes("")) {
      throw new UsageError(`--${flag.name} needs a value: --${flag.name}=${flag.value}`);
    }
    if (values.length > 1 && !flag.repeatable) {
      throw new UsageError(`--${flag.name} was given twice`);
    }
    for (const value of values) requireChoice(flag, value);
  }
  return {
    ...program,
    operands: operandsOf(command, parsed._, parsed["--"] ?? []),
    rest: args.includes("--") ? parsed["--"] : undefined,
    value: (name) =>
      valuesOf(name).at(-1) ?? found(name) ?? flags.find((flag) => flag.name === name)?.default,
    given: (name) => {
      const value = parsed[key(name)];
      return Array.isArray(value) ? value.at(-1) : value === true ? "true" : undefined;
    },
    values: valuesOf,
    has: (name) => parsed[key(name)] === true || found(name) === "true",
  };
}

/** What other programs call these, with `_`. */
const OTHER_FLAGS: Readonly<Record<string, readonly string[]>> = {
  e: ["env"],
  f: ["filter"],
  format: ["json"],
  i: ["interface"],
  n: ["dry_run"],
  o: ["json"],
  output: ["json"],
  p: ["port_mappings"],
  publish: ["port_mappings"],
  ports: ["port_mappings"],
  w: ["write", "watch"],
  yes: ["apply"],
};

/** @throws {UsageError} for a value that is none of those there are */
function requireChoice(flag: Flag, value: string): void {
  if (isChoice(flag, value)) return;
  throw new UsageError(`--${flag.name}=${value} is none of ${[flag.complete].flat().join(", ")}`);
}

function isChoice({ complete }: Flag, value: string): boolean {
  return !Array.isArray(complete) || complete.includes(value);
}

/** What is no flag. Where no command follows it, `--` only ends the flags, as everywhere. */
function operandsOf(
  { operands }: Command,
  given: readonly unknown[],
  rest: readonly string[],
): string[] {
  const all = [...given.map(String), ...operands?.includes("--") ? [] : rest];
  if (operands === undefined && all.length > 0) {
    throw new UsageError(`unexpected ${all[0]}: this command takes flags only`);
  }
  return all;
}

function key(name: string): string {
  return name.replaceAll("-", "_");
}

/**
 * Writes a flag's name with `_`, whichever way it came, and a switch with its value: else parseArgs
 * would take for that an operand which is called "true". No value begins with a dash unless it is
 * written with "=".
 *
 * @throws {UsageError} for a flag that is none of these, and for a switch with a value
 */
function canonical(arg: string, flags: readonly Flag[]): string {
  if (!arg.startsWith("-") || arg === "-") return arg;
  const [given, ...value] = arg.split("=") as [string, ...string[]];
  const flag = flags.find(({ name, short }) =>
    arg === `-${short}` || given.startsWith("--") && key(given.slice(2)) === key(name)
  );
  if (!flag) throw unknownFlag(given, flags);
  if (flag.value) return `--${[key(flag.name), ...value].join("=")}`;
  if (value.length > 0) throw new UsageError(`${given} takes no value`);
  return `--${key(flag.name)}=true`;
}

function unknownFlag(given: string, flags: readonly Flag[]): UsageError {
  const known = flags.map(({ name }) => key(name));
  // Of several letters behind one dash, the first.
  const name = given.startsWith("--") ? key(given.slice(2)) : given.slice(1, 2);
  const guess = (lookup(OTHER_FLAGS, name) ?? []).find((other) => known.includes(other)) ??
    nearest(name, known);
  const hint = guess
    ? ` (did you mean --${flags.find((flag) => key(flag.name) === guess)!.name}?)`
    : "";
  return new UsageError(`unknown flag ${given}${hint}`);
}
