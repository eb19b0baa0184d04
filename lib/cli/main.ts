/** The program as a command line: finds the command, parses its flags, reports its errors. */
import { lookup } from "../base/json.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { errnoName, fileErrorText } from "../base/file_error.ts";
import type { Registry } from "../cni/plugin_type.ts";
import { configureLog, log, type LogFormat, logFormat, type LogLevel } from "../base/log.ts";
import { type Call, type Command, type Entry, isGroup, lastWord, UsageError } from "./command.ts";
import { foundValue } from "./found_values.ts";
import { commandHelp, groupHelp, programHelp } from "./help.ts";
import { nearest } from "../base/nearest.ts";
import { print, printError } from "./output.ts";
import { parseCall } from "./parse.ts";
import { TABLE } from "./table.ts";

/** Codes of errors that say that a value of the call was wrong: exit code 2, as for a wrong flag. */
const WRONG_VALUES = new Set([
  "bad_pid",
  "bad_place",
  "bad_container_id",
  "bad_destination",
  "bad_source",
  "bad_settings",
  "bad_socket_path",
]);

/**
 * @param plugins what the commands know of plugins
 * @returns the exit code: 0 done, 1 it failed or found problems, 2 the call was wrong
 */
export async function main(args: readonly string[], plugins: Registry): Promise<number> {
  let name = "";
  try {
    configureEarly(args);
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
    const code = await found.command.run(call);
    return typeof code === "number" ? code : 0;
  } catch (error) {
    return report(name, error);
  }
}

/** Says what went wrong, in the form of the log. @returns the exit code */
function report(name: string, thrown: unknown): number {
  // What is wrong with the settings file is not wrong with the call, whoever came upon it.
  const { cause } = thrown as Error;
  const isOfFile = cause instanceof OperatorError && cause.code === "bad_settings_file";
  const error = isOfFile ? cause : thrown;
  const isWrongCall = error instanceof UsageError ||
    error instanceof OperatorError && WRONG_VALUES.has(error.code);
  if (logFormat() === "json") {
    const code = error instanceof OperatorError
      ? error.code
      : isWrongCall
      ? "usage"
      : errnoName(error) !== undefined
      ? "file"
      : "defect";
    log.error(isWrongCall ? messageOf(error) : explained(error), { command: name, code });
  } else {
    const help = error instanceof UsageError
      ? `\ntry: ${["mesos-cni", name || error.group, "--help"].filter(Boolean).join(" ")}`
      : "";
    printError(name, (isWrongCall ? messageOf(error) : explained(error)) + help);
  }
  return isWrongCall ? 2 : 1;
}

/** What to tell of an error. One not thrown on purpose is a defect: its stack says where to look. */
function explained(error: unknown): string {
  if (!(error instanceof OperatorError)) {
    // What the runtime says of a file names it, and says more to an operator than where we were.
    if (errnoName(error) !== undefined) return fileErrorText(error);
    return (error as Error).stack ?? messageOf(error);
  }
  return error.details ? `${error.message}\n${error.details}` : error.message;
}

/** The command that the arguments name with what is left for it, or the help to print instead. */
async function find(
  args: readonly string[],
): Promise<{ command: Command; args: string[] } | string> {
  const [first, ...rest] = args;
  if (first !== undefined && /^--log[-_]/.test(first)) {
    // A flag of every command may stand before it too.
    const found = await find(rest);
    return typeof found === "string" ? found : { ...found, args: [first, ...found.args] };
  }
  if (first === undefined || first === "--help" || first === "-h") return programHelp();
  if (first === "help") return await find(rest.length === 0 ? ["--help"] : [...rest, "--help"]);
  if (first === "--version") return find(["version"]);

  const entry = TABLE.find((entry) => entry.name === first);
  if (!entry) {
    throw unknownCommand(
      first,
      TABLE.filter(({ hidden }) => !hidden).map(({ name }) => name),
    );
  }
  const loaded = await entry.load();
  if (!isGroup(loaded)) return { command: loaded, args: rest };
  return findInGroup(entry, loaded, rest);
}

function findInGroup(entry: Entry, commands: readonly Command[], args: string[]) {
  const [second, ...rest] = args;
  if (second === "--help" || second === "-h" || second === "help") {
    return groupHelp(entry, commands);
  }
  if (second === undefined) {
    throw ofGroup(
      entry,
      new UsageError(`${entry.name} needs one of: ${commands.map(lastWord).join(", ")}`),
    );
  }
  const command = commands.find((command) => lastWord(command) === second);
  if (!command) {
    throw ofGroup(
      entry,
      unknownCommand(`${entry.name} ${second}`, commands.map((command) => command.name)),
    );
  }
  return { command, args: rest };
}

function ofGroup({ name }: Entry, error: UsageError): UsageError {
  error.group = name;
  return error;
}

/** What other programs call these. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  "-V": ["version"],
  "-v": ["version"],
  attach: ["shell"],
  clean: ["cleanup"],
  containers: ["list"],
  debug: ["diagnose"],
  delete: ["cleanup", "rm"],
  doctor: ["diagnose"],
  enter: ["shell"],
  explain: ["lint"],
  get: ["show", "inspect"],
  graph: ["topology"],
  health: ["status"],
  info: ["status", "show"],
  inspect: ["show"],
  ip: ["exec"],
  logs: ["diagnose"],
  ls: ["list"],
  map: ["topology"],
  nets: ["networks"],
  ping: ["diagnose"],
  ps: ["list"],
  port: ["list"],
  prune: ["gc"],
  remove: ["cleanup", "rm"],
  rm: ["cleanup"],
  sh: ["shell"],
  show: ["inspect"],
  start: ["run"],
  stats: ["inspect"],
  tcpdump: ["capture"],
  test: ["diagnose"],
  top: ["list"],
  trace: ["diagnose"],
  upgrade: ["install"],
  validate: ["lint"],
  who: ["identify"],
};

function unknownCommand(name: string, known: readonly string[]): UsageError {
  const last = name.slice(name.lastIndexOf(" ") + 1);
  const group = name.slice(0, name.length - last.length);
  const words = known.map((one) => one.slice(one.lastIndexOf(" ") + 1));
  const others = lookup(OTHER_NAMES, last) ?? [];
  const other = others.find((one) => words.includes(one));
  const guess = other !== undefined ? group + other : group === ""
    ? nearest(name, known)
    // A group's own name is no likeness.
    : known[words.indexOf(nearest(last, words) ?? "")];
  const hint = guess ? `did you mean ${guess}?` : group ? `one of: ${words.join(", ")}` : "";
  return new UsageError(`unknown command: ${name}${hint ? ` (${hint})` : ""}`);
}

function wantsHelp(args: readonly string[]): boolean {
  return beforeCommand(args).some((arg) => arg === "--help" || arg === "-h");
}

/** What stands behind `--` is another command's. */
function beforeCommand(args: readonly string[]): readonly string[] {
  return args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
}

/** What is wrong with the flags themselves is said in the form that they ask for. */
function configureEarly(args: readonly string[]): void {
  if (beforeCommand(args).some((arg) => /^--log[-_]format=json$/.test(arg))) {
    configureLog({ format: "json" });
  }
}

function configure(call: Call): void {
  configureLog({
    level: call.value("log-level") as LogLevel,
    format: call.value("log-format") as LogFormat,
  });
}
