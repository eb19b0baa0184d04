import { lookup } from "../base/json.ts";
import {
  type Call,
  type Command,
  COMMON_FLAGS,
  type Flag,
  type Program,
  UsageError,
} from "./command.ts";
import { nearest } from "../base/nearest.ts";

/**
 * Parses a command's arguments by its table of flags. A value stands behind "=", or in the next word,
 * where it does not begin with a dash.
 *
 * @throws {UsageError} for a flag that is unknown, lacks its value, or has one too many or another one
 */
export function parseCall(
  command: Command,
  args: readonly string[],
  program: Program,
): Call {
  const flags = [...command.flags, ...COMMON_FLAGS];
  const given = new Map(flags.map(({ name }) => [key(name), [] as string[]]));
  const end = args.indexOf("--");
  const rest = end < 0 ? undefined : args.slice(end + 1);
  const words = args.slice(0, rest && end);
  const operands: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
      continue;
    }
    const { flag, value } = flagOf(word, flags);
    const isNext = flag.value && value === undefined && words[0] && !words[0].startsWith("-");
    given.get(key(flag.name))!.push(value ?? (isNext ? words.shift()! : flag.value ? "" : "true"));
  }
  for (const flag of flags) {
    if (!flag.value) continue;
    const values = given.get(key(flag.name))!;
    if (values.includes("")) {
      throw new UsageError(`--${flag.name} needs a value: --${flag.name}=${flag.value}`);
    }
    if (values.length > 1 && !flag.repeatable) {
      throw new UsageError(`--${flag.name} was given twice`);
    }
    for (const value of values) requireChoice(flag, value);
  }
  const valuesOf = (name: string) => given.get(key(name)) ?? [];
  const valueOf = (name: string) => {
    const own = valuesOf(name).at(-1);
    const flag = flags.find((flag) => flag.found && flag.name === name);
    if (own !== undefined || !flag) return own;
    const value = program.found(key(name))?.value;
    if (value !== undefined) requireChoice(flag, value);
    return value;
  };
  return {
    ...program,
    operands: operandsOf(command, operands, rest ?? []),
    rest,
    value: valueOf,
    given: (name) => valuesOf(name).at(-1),
    values: valuesOf,
    has: (name) => valueOf(name) === "true",
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
function requireChoice({ name, complete }: Flag, value: string): void {
  if (!Array.isArray(complete) || complete.includes(value)) return;
  throw new UsageError(`--${name}=${value} is none of ${complete.join(", ")}`);
}

/** What is no flag. Where no command follows it, `--` only ends the flags, as everywhere. */
function operandsOf(
  { operands }: Command,
  given: readonly string[],
  rest: readonly string[],
): string[] {
  const all = [...given, ...operands?.includes("--") ? [] : rest];
  if (operands === undefined && all.length > 0) {
    throw new UsageError(`unexpected ${all[0]}: this command takes flags only`);
  }
  return all;
}

function key(name: string): string {
  return name.replaceAll("-", "_");
}

/** @throws {UsageError} for a flag that is none of these, and for a switch with a value */
function flagOf(word: string, flags: readonly Flag[]): { flag: Flag; value?: string } {
  const [, given, value] = /^([^=]*)(?:=(.*))?$/s.exec(word)!;
  const flag = flags.find(({ name, short }) =>
    word === `-${short}` || given!.startsWith("--") && key(given!.slice(2)) === key(name)
  );
  if (!flag) throw unknownFlag(given!, flags);
  if (!flag.value && value !== undefined) throw new UsageError(`${given} takes no value`);
  return { flag, value };
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
