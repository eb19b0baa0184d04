import { lookup } from "../base/json.ts";
import { parseArgs } from "@std/cli";
import {
  type Call,
  type Command,
  COMMON_FLAGS,
  type Flag,
  type Program,
  UsageError,
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
 * @throws {UsageError} for a flag that is unknown, lacks its value or has one too many
 */
export function parseCall(
  command: Command,
  args: readonly string[],
  program: Program,
): Call {
  const flags = [...command.flags, ...COMMON_FLAGS];
  const names = (wanted: (flag: Flag) => boolean) =>
    flags.filter(wanted).map((flag) => key(flag.name));
  // The names of the flags come from a table, so that parseArgs can't infer the values' types.
  const parsed: Parsed = parseArgs(args.map(canonical(args.indexOf("--"), flags)), {
    "--": true,
    boolean: checkSwitches(flags, args),
    // "_" are the operands: parseArgs would make numbers of ids such as 7e12 and 0x1f.
    string: ["_", ...names((flag) => !!flag.value)],
    collect: names((flag) => !!flag.value),
    unknown(arg, name) {
      if (name === undefined) return true;
      const known = flags.map((flag) => key(flag.name));
      const guess = (lookup(OTHER_FLAGS, name) ?? []).find((other) => known.includes(other)) ??
        nearest(name, known);
      const hint = guess
        ? ` (did you mean --${flags.find((flag) => key(flag.name) === guess)!.name}?)`
        : "";
      // As it was written, and not as it is compared.
      const given = args.find((one) => /^--?[^-]/.test(one) && sameFlag(one, arg)) ?? arg;
      throw new UsageError(`unknown flag ${given.split("=")[0]}${hint}`);
    },
  });
  const found = (name: string) =>
    flags.some((flag) => flag.found && flag.name === name)
      ? program.found(key(name))?.value
      : undefined;
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
  }
  return {
    ...program,
    operands: operandsOf(command, parsed._, parsed["--"] ?? []),
    rest: args.includes("--") ? parsed["--"] : undefined,
    value: (name) => valuesOf(name).at(-1) ?? found(name),
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

/** @returns the names of the flags without a value, none of which may be given one */
function checkSwitches(flags: readonly Flag[], args: readonly string[]): string[] {
  const switches = flags.filter((flag) => !flag.value).map((flag) => key(flag.name));
  const end = args.indexOf("--");
  for (const arg of end < 0 ? args : args.slice(0, end)) {
    const equals = arg.indexOf("=");
    if (!arg.startsWith("--") || equals < 0) continue;
    if (switches.includes(key(arg.slice(2, equals)))) {
      throw new UsageError(`${arg.slice(0, equals)} takes no value`);
    }
  }
  return switches;
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

function sameFlag(one: string, other: string): boolean {
  return key(one.split("=")[0]!) === key(other.split("=")[0]!);
}

function key(name: string): string {
  return name.replaceAll("-", "_");
}

/** Writes a flag's name with `_`, whichever way it came; what follows `--` is the command's. */
function canonical(
  end: number,
  flags: readonly Flag[],
): (arg: string, index: number) => string {
  return (arg, index) => {
    const short = flags.find(({ short }) => short !== undefined && arg === `-${short}`);
    if (short && (end < 0 || index < end)) return `--${key(short.name)}`;
    if (!arg.startsWith("--") || arg === "--" || (end >= 0 && index > end)) return arg;
    const [name, ...value] = arg.slice(2).split("=");
    return `--${[key(name!), ...value].join("=")}`;
  };
}
