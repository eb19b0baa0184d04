/** The program as a command line: finds the command, parses its flags, reports its errors. */
import { messageOf, OperatorError } from "../base/error.ts";
import { errnoName } from "../base/file_error.ts";
import type { Registry } from "../cni/plugin_type.ts";
import { configureLog, LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { type Call, type Command, type Entry, UsageError } from "./command.ts";
import { foundValue } from "./found_values.ts";
import { commandHelp, groupHelp, programHelp } from "./help.ts";
import { nearest } from "../base/nearest.ts";
import { print, printError } from "./output.ts";
import { parseCall } from "./parse.ts";
import { TABLE } from "./table.ts";

/**
 * @param plugins what the commands know of plugins
 * @returns the exit code: 0 done, 1 it failed or found problems, 2 the call was wrong
 */
export async function main(args: readonly string[], plugins: Registry): Promise<number> {
  let name = "";
  try {
    const found = await find(args);
    if (typeof found === "string") {
      print(found);
      return args.length > 0 ? 0 : 2;
    }
    name = found.command.name;
    if (wantsHelp(found.args)) {
      print(commandHelp(found.command));
      return 0;
    }
    const call = parseCall(found.command, found.args, {
      commands: TABLE,
      plugins,
      found: foundValue,
    });
    configure(call);
    return await found.command.run(call);
  } catch (error) {
    if (error instanceof UsageError) {
      printError(name, `${error.message}\ntry: mesos-cni ${name ? `${name} ` : ""}--help`);
      return 2;
    }
    printError(name, explained(error));
    return 1;
  }
}

/** What to tell of an error. One not thrown on purpose is a defect: its stack says where to look. */
function explained(error: unknown): string {
  if (!(error instanceof OperatorError)) {
    // What the runtime says of a file names it, and says more to an operator than where we were.
    if (errnoName(error) !== undefined) return messageOf(error);
    return (error as Error).stack ?? messageOf(error);
  }
  return error.details ? `${error.message}\n${error.details}` : error.message;
}

/** The command that the arguments name with what is left for it, or the help to print instead. */
async function find(
  args: readonly string[],
): Promise<{ command: Command; args: string[] } | string> {
  const [first, ...rest] = args;
  if (first === undefined || first === "--help" || first === "-h") return programHelp();
  if (first === "help") return rest.length === 0 ? programHelp() : await find([...rest, "--help"]);
  if (first === "--version") return find(["version"]);

  const entry = TABLE.find((entry) => entry.name === first);
  if (!entry) throw unknownCommand(first, TABLE.map((entry) => entry.name));
  const loaded = await entry.load();
  if (!isGroup(loaded)) return { command: loaded, args: rest };
  return findInGroup(entry, loaded, rest);
}

function findInGroup(entry: Entry, commands: readonly Command[], args: string[]) {
  const [second, ...rest] = args;
  if (second === "--help" || second === "-h") return groupHelp(entry, commands);
  if (second === undefined) {
    throw new UsageError(`${entry.name} needs one of: ${commands.map(lastWord).join(", ")}`);
  }
  const command = commands.find((command) => lastWord(command) === second);
  if (!command) {
    throw unknownCommand(
      `${entry.name} ${second}`,
      commands.map((command) => command.name),
    );
  }
  return { command, args: rest };
}

function isGroup(loaded: Command | readonly Command[]): loaded is readonly Command[] {
  return Array.isArray(loaded);
}

function lastWord(command: Command): string {
  return command.name.slice(command.name.lastIndexOf(" ") + 1);
}

function unknownCommand(name: string, known: readonly string[]): UsageError {
  const guess = nearest(name, known);
  return new UsageError(`unknown command: ${name}${guess ? ` (did you mean ${guess}?)` : ""}`);
}

function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

function configure(call: Call): void {
  const level = call.value("log-level") ?? "warning";
  const format = call.value("log-format") ?? "text";
  if (!(LOG_LEVELS as readonly string[]).includes(level)) {
    throw new UsageError(`--log-level=${level} is none of ${LOG_LEVELS.join(", ")}`);
  }
  if (format !== "text" && format !== "json") {
    throw new UsageError(`--log-format=${format} is neither text nor json`);
  }
  configureLog({ level: level as LogLevel, format });
}
