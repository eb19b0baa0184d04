/** What a subcommand is: the data behind parsing, `--help`, completion and the manual page. */

import { OperatorError } from "../base/error.ts";
import type { Registry } from "../cni/plugin_type.ts";
import type { FoundValue } from "./found_values.ts";

/** A flag, written `--name` or `--name=VALUE`; `-` and `_` in a name are the same. */
export interface Flag {
  /** Without the leading dashes, as the documents write it. */
  name: string;
  /** The placeholder of the value in the help; absent for a switch. */
  value?: string;
  /** One letter that stands for it, as in `-q`. */
  short?: string;
  /** One line, without a full stop. */
  help: string;
  repeatable?: boolean;
  /** Of the agent: where the call does not give it, it is looked for on the machine. */
  found?: true;
  /** The value where neither the call nor the machine gives one. */
  default?: string;
  /** The same as the help shows it, also where it is no value: `a new one`. */
  usual?: string;
  /** What a shell may complete the value to; of a list, it must be one. */
  complete?: "file" | "directory" | "container" | "network" | readonly string[];
}

/** A call as somebody would type it, and what it is good for. */
export type Example = readonly [command: string, what: string];

export interface Command {
  /** With its group: `run`, `netns exec`. What it is for stands in summaries.ts. */
  name: string;
  /** What follows the flags: `ID [-- COMMAND [ARG…]]`. */
  operands?: string;
  flags: readonly Flag[];
  examples: readonly [Example, ...Example[]];
  /** More to know, below the flags of the help. */
  notes?: string;
  /** What a shell may complete the first operand to. */
  complete?: "file" | "container" | "network" | readonly string[];
  /**
   * @returns the exit code: 1 if it failed or found problems; nothing, as 0, when it is done
   * @throws {UsageError} for exit code 2; any other error is printed, for exit code 1
   */
  run(call: Call): void | number | Promise<void | number>;
}

/** A line of the table of commands. */
export interface Entry {
  name: string;
  /** Called by this program itself, and not shown to people. */
  hidden?: true;
  /** The command of a group that this one is short for: it is explained there. */
  short?: string;
  /** A command, or the commands of a group (`netns list`, `netns exec`, …). */
  load(): Promise<Command | readonly Command[]>;
}

/** What this program consists of, for the commands that speak of it. */
export interface Program {
  commands: readonly Entry[];
  /** The plugins that it contains or knows. */
  plugins: Registry;
  /** What the machine says of an agent's flag that a call does not give; by name, with `_`. */
  found(name: string): FoundValue | undefined;
}

/** A command's arguments, parsed by its own table of flags. */
export interface Call extends Program {
  /** The operands before `--`. */
  operands: string[];
  /** What follows `--`; undefined without a `--`. */
  rest: string[] | undefined;
  /** The value of a flag, the last one if it was repeated; else one that was found (of an agent's), or its default. */
  value(flag: string): string | undefined;
  /** The same, only of the call itself; a switch that was given is "true". */
  given(flag: string): string | undefined;
  /** All values of a repeatable flag. */
  values(flag: string): string[];
  /** Whether a switch was given. */
  has(flag: string): boolean;
}

/** The call itself was wrong: exit code 2, with a pointer to the help. */
export class UsageError extends Error {
  override name = "UsageError";
  /** The group whose help is pointed to, where it is not known yet which command is meant. */
  group?: string;
}

/** A value that nobody typed and that can't be: what is to be mended is the environment of the call, or the settings file. */
export function wrongFound({ from, isOfCall }: FoundValue, why: string): Error {
  const text = `${from}: ${why}`;
  return isOfCall ? new UsageError(text) : new OperatorError("bad_settings_file", text);
}

export function isGroup(loaded: Command | readonly Command[]): loaded is readonly Command[] {
  return Array.isArray(loaded);
}

/** A command's name without its group. */
export function lastWord({ name }: Command): string {
  return name.slice(name.lastIndexOf(" ") + 1);
}

/** The operand of a call that takes one at most. @throws {UsageError} */
export function onlyOperand({ operands: [first, more] }: Call, what = "ID"): string | undefined {
  if (more !== undefined) throw new UsageError(`unexpected ${more}: one ${what} at a time`);
  return first;
}

/** Refuses more than `most` operands of a call whose command (`what`) follows `--`. @throws {UsageError} */
export function requireBehind({ operands }: Call, what: string, name: string, most = 0): void {
  if (operands.length <= most) return;
  const right = ["mesos-cni", name, ...operands.slice(0, most), "--", ...operands.slice(most)];
  const why = `unexpected ${operands[most]}: ${what} follows "--", as in: ${right.join(" ")}`;
  throw new UsageError(why);
}

/** Whether a text is a port from 1 to 65535. */
export function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;
}

/**
 * The form that a call wants its output in: `--format`, of which `--json` is short for one.
 *
 * @throws {UsageError} if the two contradict each other
 */
export function formatOf<F extends string>(call: Call, formats: readonly [F, ...F[]]): F | "json" {
  const given = call.given("format");
  if (!call.has("json")) return formats.find((one) => one === given) ?? formats[0];
  if (given === undefined || given === "json") return "json";
  throw new UsageError(`--json and --format=${given} exclude each other`);
}

/** What a shell completes, by the placeholder of the value. */
const KINDS: Readonly<Record<string, "file" | "directory">> = { FILE: "file", DIR: "directory" };

/** A flag as it is typed: `--dry-run`, `--sort=KEY`, `-q, --quiet`. */
export function flag(
  typed: string,
  help: string,
  more: Omit<Flag, "name" | "value" | "short" | "help"> = {},
): Flag {
  const [, short, name, value] = /^(?:-(\w), )?--([^=]+)(?:=(.+))?$/.exec(typed)!;
  const complete = KINDS[value ?? ""];
  return { name: name!, short, value, help, complete, usual: more.default, ...more };
}

/** A flag of the agent's that names a directory, or a path of several. */
export function directoryFlag(typed: string, help: string, value?: string, usual = value): Flag {
  return flag(typed, help, { default: value, usual, complete: "directory", found: true });
}

/** Flags that every command takes; `main.ts` acts on them. */
export const COMMON_FLAGS: readonly Flag[] = [
  flag("--log-level=LEVEL", "what is logged to standard error", {
    default: "warning",
    complete: ["debug", "info", "warning", "error"],
  }),
  flag("--log-format=FORMAT", "text or json, one line each", {
    default: "text",
    complete: ["text", "json"],
  }),
  flag("--help", "this text"),
];

/** For commands that print data. */
export const JSON_FLAG: Flag = flag("--json", "print JSON");
