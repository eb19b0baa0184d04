import { dirname, resolve } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { readTextFile } from "../kernel/read_file.ts";
import {
  type Call,
  type Command,
  directoryFlag,
  flag,
  formatOf,
  JSON_FLAG,
  type Program,
  UsageError,
} from "./command.ts";
import { parseCall } from "./parse.ts";
import { ofAgent } from "./found_values.ts";
import { writeErrorOutput, writeOutput } from "../base/streams.ts";
import { plainLine } from "../base/printable.ts";
import { bold, hasColor, print, printJson } from "./output.ts";
import { explain, ruleList } from "../lint/explain.ts";
import { write } from "../lint/fix.ts";
import { lint } from "../lint/lint.ts";
import { pluginFiles, type PluginsDir, pluginsDir, usualPlugins } from "../lint/plugins_dir.ts";
import { readSources, readStdin } from "../lint/read.ts";
import { type Reader, READERS } from "../lint/reader.ts";
import { countOf, statisticsText, summary } from "../lint/reporters/summary.ts";
import { type Context, type Diagnostic, SAFETIES } from "../lint/rule.ts";
import { readSettings, ruleNamed, Settings } from "../lint/settings.ts";
import { SETTINGS_FILE, settingsFileFor } from "../lint/settings_file.ts";
import type { Source } from "../lint/source.ts";

const FORMATS = ["text", "concise", "json", "sarif", "github", "gitlab"] as const;

export const command: Command = {
  name: "lint",
  operands: "[PATH…]",
  complete: "file",
  flags: [
    flag("--format=FORMAT", FORMATS.join(", "), { default: "text", complete: FORMATS }),
    JSON_FLAG,
    flag("--for=READER", READERS.join(", "), {
      usual: "who can read the file",
      complete: READERS,
    }),
    directoryFlag("--network_cni_config_dir=DIR", "what is read without a PATH"),
    directoryFlag("--network_cni_plugins_dir=PATH", "look for the plugins there (colon separated)"),
    flag("--plugins-dir=PATH", "the same", { complete: "directory" }),
    flag("--probe", "ask this machine: plugins, interfaces, iptables, kernel"),
    flag("--fix", "mend what can be mended safely, and report the rest"),
    flag("--unsafe-fixes", "with --fix: make changes too whose intention is a guess"),
    flag("--dry-run", "with --fix: show the changes, and make none"),
    flag("--select=CODE,…", "look for these alone: codes, their beginnings (CNI4) or names", {
      repeatable: true,
    }),
    flag("--ignore=CODE,…", "don't look for these", { repeatable: true }),
    flag("--statistics", "how often each rule found something, and no more"),
    flag("--rule=CODE=LEVEL", "make a rule error, warning, info or off", { repeatable: true }),
    flag("--config=FILE", "settings of the rules", {
      usual: `${SETTINGS_FILE} of the file's directory or one above`,
    }),
    flag(
      "--stdin-filename=PATH",
      "what to take standard input for: reports name it, and its ending counts",
      { complete: "file" },
    ),
    flag("--max-warnings=N", "exit with 0 in spite of up to N warnings", { default: "0" }),
    flag("--schema", "print a JSON Schema of network configs, for editors"),
    flag("--lsp", "serve an editor as a language server on standard input and output"),
    flag("--explain=CODE", "what a rule is about; all lists the rules"),
  ],
  examples: [
    ["mesos-cni lint /etc/mesos/cni", "every file that an agent would read there"],
    [
      "mesos-cni lint --probe",
      "on an agent: its own directories, and whether this machine has what the configs need",
    ],
    ["mesos-cni lint --fix --dry-run net.conf", "what --fix would change"],
    ["mesos-cni lint --explain=CNI414", "the background of a finding"],
  ],
  notes:
    "PATH is a file, a directory (read as an agent reads it) or - for standard input. --fix\n" +
    "prints what standard input becomes, and reports to standard error.\n" +
    "Exit code: 0 nothing but infos, 1 errors or more than --max-warnings warnings, 2 wrong usage.",
  async run(call) {
    try {
      const explained = call.value("explain");
      if (explained === "all") print(ruleList());
      else if (explained) print(explain(ruleNamed(explained, "--explain"), bold));
      else if (call.has("schema")) printJson((await import("../lint/json_schema.ts")).jsonSchema());
      else if (call.has("lsp")) return await serve(call);
      else return await report(call);
      return 0;
    } catch (error) {
      // Settings, rules and paths that the call names wrongly; a file that resists --fix is not that.
      const isCall = error instanceof OperatorError && error.code !== "unwritable_file";
      throw isCall ? new UsageError(error.message, { cause: error }) : error;
    }
  },
};

/** The errors in a directory, by file, as `lint DIRECTORY` finds them. */
export async function errorsIn(program: Program, directory: string) {
  const call = parseCall(command, [directory], program);
  const read = readSources([directory]);
  const errors = checkOf(call, await contextOf(call, read))(read)
    .filter(({ severity }) => severity === "error");
  return [...Map.groupBy(errors, ({ source }) => source.path)]
    .map(([file, all]) => ({ file, errors: all.length }));
}

/** The only thing that loads the protocol's library. */
async function serve(call: Call): Promise<number> {
  if (call.operands.length > 0) throw new UsageError("--lsp takes its files from the editor");
  settingsOf(call); // what the call itself says wrongly
  const path = call.value("plugins-dir") ?? call.given("network_cni_plugins_dir");
  const { serve } = await import("../lint/lsp.ts");
  return await serve((file) => settingsOf(call, file), {
    plugins: path === undefined ? undefined : pluginsDir(path),
    usualPlugins: usualPlugins(),
    reader: call.value("for") as Reader | undefined,
  });
}

async function report(call: Call): Promise<number> {
  const operands = operandsOf(call);
  const format = formatOf(call, FORMATS);
  const limit = warningLimit(call);
  settingsOf(call);
  for (const flag of ["dry-run", "unsafe-fixes"]) {
    if (call.has(flag) && !call.has("fix")) throw new UsageError(`--${flag} goes with --fix`);
  }
  const name = call.value("stdin-filename");
  const isFilter = call.has("fix") && operands.includes("-") && !call.has("dry-run");
  if (isFilter && (operands.length > 1 || format !== "text")) {
    throw new UsageError(
      "--fix prints what becomes of standard input: alone, and in no other form",
    );
  }
  if (name !== undefined && !operands.includes("-")) {
    throw new UsageError("--stdin-filename says what - is: there is no - among the paths");
  }

  const read = [
    ...(operands.includes("-") ? [readStdin(name)] : []),
    ...readSources(operands.filter((operand) => operand !== "-")),
  ];
  if (isFilter && (read[0]!.isTooLarge || read[0]!.encoding)) {
    throw new UsageError("standard input is no text of a config's size: it can't be mended");
  }
  if (read.length === 0) {
    throw new UsageError(`there is no config in ${operands.join(", ")}: nothing was checked`);
  }
  const check = checkOf(call, await contextOf(call, read));
  if (!call.has("fix")) return await show(call, format, check(read), read.length, limit);

  const { describe, mend } = await import("../lint/mend.ts");
  const { diagnostics, repairs } = mend(
    read,
    check,
    call.has("unsafe-fixes") ? SAFETIES : ["safe"],
  );
  const mended = repairs.flatMap(describe);
  if (isFilter) {
    writeOutput(repairs[0]?.text ?? read[0]!.text);
    const { reportText } = await import("../lint/reporters/text.ts");
    const color = hasColor(Deno.stderr);
    writeErrorOutput(reportText(diagnostics, { files: 1, color }) + "\n");
    return exitCode(diagnostics, limit);
  }
  if (call.has("dry-run")) {
    const { unifiedDiff } = await import("../lint/diff.ts");
    for (const one of mended) print(plainLine(`# would mend ${one}`));
    for (const repair of repairs) print(unifiedDiff(repair));
    return repairs.length > 0 ? 1 : exitCode(diagnostics, limit);
  }
  for (const repair of repairs) write(repair);
  return await show(call, format, diagnostics, read.length, limit, mended);
}

/** What to read: the operands, else the directory of this machine's agent. */
function operandsOf(call: Call): readonly string[] {
  if (call.operands.length > 0) return call.operands;
  const directory = call.value("network_cni_config_dir");
  if (directory) return [directory];
  throw new UsageError(
    "which files or directories? No agent was found here that has a --network_cni_config_dir",
  );
}

async function show(
  call: Call,
  format: typeof FORMATS[number],
  diagnostics: readonly Diagnostic[],
  files: number,
  limit: number,
  mended?: readonly string[],
): Promise<number> {
  const withStatistics = call.has("statistics");
  switch (format) {
    case "text": {
      for (const one of mended ?? []) print(plainLine(`mended ${one}`));
      if (withStatistics) {
        if (diagnostics.length > 0) print(statisticsText(diagnostics));
        print(summary(diagnostics, files));
        break;
      }
      const { reportText } = await import("../lint/reporters/text.ts");
      print(reportText(diagnostics, { files, color: hasColor() }));
      break;
    }
    case "concise":
      printLines((await import("../lint/reporters/concise.ts")).reportConcise(diagnostics));
      break;
    case "github":
      printLines((await import("../lint/reporters/github.ts")).reportGithub(diagnostics));
      break;
    case "gitlab":
      printJson((await import("../lint/reporters/gitlab.ts")).reportGitlab(diagnostics));
      break;
    case "sarif":
      printJson((await import("../lint/reporters/sarif.ts")).reportSarif(diagnostics));
      break;
    case "json": {
      const { reportJson } = await import("../lint/reporters/json.ts");
      printJson(reportJson(diagnostics, files, { mended, withStatistics }));
    }
  }
  return exitCode(diagnostics, limit);
}

/** Nothing of no findings. */
function printLines(text: string): void {
  if (text !== "") print(text);
}

function exitCode(diagnostics: readonly Diagnostic[], limit: number): number {
  const failed = countOf(diagnostics, "error") > 0 || countOf(diagnostics, "warning") > limit;
  return failed ? 1 : 0;
}

function warningLimit(call: Call): number {
  const text = call.value("max-warnings")!;
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--max-warnings=${text} is no number`);
  return Number(text);
}

/** What lints files, each by the settings of its directory. */
function checkOf(call: Call, context: Context): (sources: readonly Source[]) => Diagnostic[] {
  const known = new Map<string, Settings>();
  const settingsFor = ({ path }: Source) => {
    const directory = call.value("config") ?? dirname(path);
    const settings = known.get(directory) ?? settingsOf(call, path);
    known.set(directory, settings);
    return settings;
  };
  return (sources) => {
    const order = new Map(sources.map((source, i) => [source, i]));
    return [...Map.groupBy(sources, settingsFor)].flatMap(([settings, together]) =>
      lint(together, settings, { ...context, reader: readerFor(call, settings) })
    ).sort((a, b) => order.get(a.source)! - order.get(b.source)!);
  };
}

/** The settings of a call, and of a file that is linted. */
function settingsOf(call: Call, linted?: string): Settings {
  const settings = new Settings();
  const file = call.value("config") ?? (linted && settingsFileFor(linted));
  try {
    if (file) readSettings(settings, readTextFile(file), file);
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "file") throw error;
    throw new UsageError(error.message, { cause: error });
  }
  for (const text of call.values("rule")) {
    const [rule, level, ...rest] = text.split("=");
    if (level === undefined || rest.length > 0) {
      throw new UsageError(`--rule=${text} is not CODE=LEVEL, such as CNI414=off`);
    }
    settings.set(rule!, level, `--rule=${text}`);
  }
  for (const rules of call.values("select")) settings.select(rules, "--select");
  for (const rules of call.values("ignore")) settings.ignore(rules, "--ignore");
  return settings;
}

function pluginsOf(call: Call): PluginsDir | undefined {
  const path = call.value("plugins-dir") ?? call.given("network_cni_plugins_dir") ??
    // Of an agent whose networks were not named either.
    (call.operands.length === 0 ? call.value("network_cni_plugins_dir") : undefined);
  return path === undefined ? undefined : pluginsDir(path);
}

/** Who reads the files: as the call or the settings say; of the agent's own directory, the agent. */
function readerFor(call: Call, settings: Settings): Reader | undefined {
  const named = call.value("for");
  if (named !== undefined) return named as Reader;
  if (settings.reader) return settings.reader;
  const isolation = ofAgent("isolation")?.value;
  const own = ofAgent("network_cni_config_dir")?.value;
  const isOwn = call.operands.every((path) =>
    own && `${resolve(path)}/`.startsWith(`${resolve(own)}/`)
  );
  if (isolation === undefined || !isOwn) return undefined;
  return isolation.split(",").includes("network/cni") ? "stock-agent" : "isolator";
}

/** What rules may ask besides the files; the machine is only loaded for --probe. */
async function contextOf(call: Call, sources: readonly Source[]): Promise<Context> {
  const plugins = pluginsOf(call);
  const context = { plugins, usualPlugins: usualPlugins() };
  if (!call.has("probe")) return context;
  const { probe } = await import("../lint/machine.ts");
  return { ...context, machine: await probe(pluginFiles(sources, plugins)) };
}
