import { messageOf, OperatorError } from "../base/error.ts";
import type { Call, Command } from "./command.ts";
import { JSON_FLAG, UsageError } from "./command.ts";
import { bold, hasColor, print, printJson } from "./output.ts";
import { explain, ruleList } from "../lint/explain.ts";
import { repairs, write } from "../lint/fix.ts";
import { lint } from "../lint/lint.ts";
import { pluginFiles, type PluginsDir, pluginsDir } from "../lint/plugins_dir.ts";
import { readSources, readStdin } from "../lint/read.ts";
import { countOf } from "../lint/reporters/summary.ts";
import type { Context, Diagnostic } from "../lint/rule.ts";
import { readSettings, ruleNamed, Settings } from "../lint/settings.ts";
import { SETTINGS_FILE } from "../lint/settings_file.ts";
import type { Source } from "../lint/source.ts";

const FORMATS = ["text", "json", "sarif", "github"] as const;

const MOST_ROUNDS = 5;

export const command: Command = {
  name: "lint",
  summary: "find what an agent, a plugin or the kernel would stumble over in network configs",
  operands: "PATH…",
  complete: "file",
  flags: [
    {
      name: "format",
      value: "FORMAT",
      help: FORMATS.join(", "),
      default: "text",
      complete: FORMATS,
    },
    JSON_FLAG,
    {
      name: "plugins-dir",
      value: "PATH",
      help: "look for the plugins there (colon separated)",
      complete: "directory",
    },
    { name: "probe", help: "ask this machine: plugins, interfaces, iptables, kernel" },
    { name: "fix", help: "mend what can be mended safely, and report the rest" },
    { name: "dry-run", help: "with --fix: show the changes, and make none" },
    {
      name: "rule",
      value: "CODE=LEVEL",
      help: "make a rule error, warning, info or off",
      repeatable: true,
    },
    {
      name: "config",
      value: "FILE",
      help: "settings of the rules",
      default: `${SETTINGS_FILE} if there is one`,
      complete: "file",
    },
    {
      name: "max-warnings",
      value: "N",
      help: "exit with 0 in spite of up to N warnings",
      default: "0",
    },
    { name: "explain", value: "CODE", help: "what a rule is about; all lists the rules" },
  ],
  examples: [
    { command: "mesos-cni lint /etc/mesos/cni", what: "every file that an agent would read there" },
    {
      command: "mesos-cni lint --plugins-dir=/usr/lib/cni --probe /etc/mesos/cni",
      what: "on an agent: whether this machine has what the configs need",
    },
    { command: "mesos-cni lint --fix --dry-run net.conf", what: "what --fix would change" },
    { command: "mesos-cni lint --explain=CNI414", what: "the background of a finding" },
  ],
  notes: "PATH is a file, a directory (read as an agent reads it) or - for standard input.\n" +
    "Exit code: 0 nothing but infos, 1 errors or more than --max-warnings warnings, 2 a wrong call.",
  async run(call) {
    try {
      const explained = call.value("explain");
      if (explained === "all") print(ruleList());
      else if (explained) print(explain(ruleNamed(explained, "--explain"), bold));
      else return await report(call);
      return 0;
    } catch (error) {
      // Settings, rules and paths that the call names wrongly; a file that resists --fix is not that.
      const isCall = error instanceof OperatorError && error.code !== "unwritable_file";
      throw isCall ? new UsageError(error.message) : error;
    }
  },
};

async function report(call: Call): Promise<number> {
  const { operands } = call;
  if (operands.length === 0) throw new UsageError("which files or directories?");
  const format = formatOf(call);
  const limit = warningLimit(call);
  const settings = settingsOf(call);
  if (call.has("dry-run") && !call.has("fix")) throw new UsageError("--dry-run goes with --fix");
  if (call.has("fix") && operands.includes("-")) {
    throw new UsageError("--fix changes files: it can't be used with standard input");
  }

  const read = () => [
    ...(operands.includes("-") ? [readStdin()] : []),
    ...readSources(operands.filter((operand) => operand !== "-")),
  ];
  let sources = read();
  const context = await contextOf(call, sources);
  let diagnostics = lint(sources, settings, context);
  if (call.has("dry-run")) {
    const planned = repairs(diagnostics);
    const { unifiedDiff } = await import("../lint/diff.ts");
    for (const repair of planned) print(unifiedDiff(repair));
    return planned.length > 0 ? 1 : 0;
  }
  // Fixes that touch each other take more than one round.
  for (let round = 0; call.has("fix") && round < MOST_ROUNDS; round++) {
    const planned = repairs(diagnostics);
    if (planned.length === 0) break;
    for (const repair of planned) write(repair);
    sources = read();
    diagnostics = lint(sources, settings, context);
  }
  await show(format, diagnostics, sources);
  const failed = countOf(diagnostics, "error") > 0 || countOf(diagnostics, "warning") > limit;
  return failed ? 1 : 0;
}

async function show(
  format: typeof FORMATS[number],
  diagnostics: readonly Diagnostic[],
  sources: readonly Source[],
): Promise<void> {
  switch (format) {
    case "text": {
      const { reportText } = await import("../lint/reporters/text.ts");
      print(reportText(diagnostics, { files: sources.length, color: hasColor() }));
      break;
    }
    case "json": {
      const { reportJson } = await import("../lint/reporters/json.ts");
      printJson(reportJson(diagnostics, sources.length));
      break;
    }
    case "sarif": {
      const { reportSarif } = await import("../lint/reporters/sarif.ts");
      printJson(reportSarif(diagnostics));
      break;
    }
    case "github": {
      const { reportGithub } = await import("../lint/reporters/github.ts");
      if (diagnostics.length > 0) print(reportGithub(diagnostics));
    }
  }
}

function formatOf(call: Call): typeof FORMATS[number] {
  const format = call.value("format") ?? (call.has("json") ? "json" : "text");
  if (call.has("json") && format !== "json") {
    throw new UsageError(`--json and --format=${format} exclude each other`);
  }
  const known = FORMATS.find((known) => known === format);
  if (!known) throw new UsageError(`--format=${format} is none of ${FORMATS.join(", ")}`);
  return known;
}

function warningLimit(call: Call): number {
  const text = call.value("max-warnings") ?? "0";
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--max-warnings=${text} is no number`);
  return Number(text);
}

function settingsOf(call: Call): Settings {
  const settings = new Settings();
  const named = call.value("config");
  const file = named ?? SETTINGS_FILE;
  try {
    readSettings(settings, Deno.readTextFileSync(file), file);
  } catch (error) {
    const isAbsent = error instanceof Deno.errors.NotFound && named === undefined;
    if (error instanceof OperatorError) throw error;
    if (!isAbsent) throw new UsageError(`cannot read ${file}: ${messageOf(error)}`);
  }
  for (const text of call.values("rule")) {
    const [rule, level, ...rest] = text.split("=");
    if (level === undefined || rest.length > 0) {
      throw new UsageError(`--rule=${text} is not CODE=LEVEL, such as CNI414=off`);
    }
    settings.set(rule!, level, `--rule=${text}`);
  }
  return settings;
}

function pluginsOf(call: Call): PluginsDir | undefined {
  const path = call.value("plugins-dir");
  return path === undefined ? undefined : pluginsDir(path);
}

/** What rules may ask besides the files; the machine is only loaded for --probe. */
async function contextOf(call: Call, sources: readonly Source[]): Promise<Context> {
  const plugins = pluginsOf(call);
  if (!call.has("probe")) return { plugins };
  const { probe } = await import("../lint/machine.ts");
  return { plugins, machine: await probe(pluginFiles(sources, plugins)) };
}
