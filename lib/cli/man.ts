import { VERSION } from "../base/version.ts";
import { type Command, COMMON_FLAGS, type Entry, type Flag } from "./command.ts";
import { print } from "./output.ts";
import { SUMMARIES } from "./summaries.ts";

export const command: Command = {
  name: "man",
  flags: [],
  examples: [[
    "mesos-cni man > /usr/local/share/man/man1/mesos-cni.1",
    "after which man mesos-cni shows it",
  ]],
  async run(call) {
    print(await manualPage(call.commands));
  },
};

/** The manual page in the language of man(7), from the same tables as `--help`. */
export async function manualPage(table: readonly Entry[]): Promise<string> {
  const commands: Command[] = [];
  for (const entry of table.filter((entry) => !entry.hidden && !entry.short)) {
    const loaded = await entry.load();
    commands.push(...(Array.isArray(loaded) ? loaded : [loaded as Command]));
  }
  return `.TH MESOS\\-CNI 1 "" "mesos\\-cni ${VERSION}" "Networks for containers"
.SH NAME
mesos\\-cni \\- networks for the containers of a Mesos agent
.SH SYNOPSIS
.B mesos\\-cni
.I COMMAND
.RI [ FLAG ...]
.RI [ ARG ...]
.SH DESCRIPTION
The network/cni isolator, the CNI plugin mesos\\-cni\\-port\\-mapper (when called by that name), a
linter for network configs and a debug shell for container networks.
.SH COMMANDS
${commands.map(section).join("\n")}
.SH SHORT COMMANDS
Daily commands can be called without their group:
${table.filter((entry) => entry.short).map((entry) => `.B ${text(entry.name)}`).join(",\n")}.
.SH FLAGS OF EVERY COMMAND
${COMMON_FLAGS.map(item).join("\n")}
.SH EXIT STATUS
0 done; 1 it failed or found problems; 2 the call was wrong.
.B run
and
.B netns exec
exit with their command's status; 128 + n if signal n ended it.
.SH ENVIRONMENT
.TP
.B NO_COLOR
no colours, also in a terminal
.TP
.B MESOS_RUNTIME_DIR, MESOS_NETWORK_CNI_CONFIG_DIR, ...
the agent's flags, as an agent reads them
.SH FILES
.TP
.I /etc/mesos-cni.json
the agent's flags by name, where neither the call nor the environment has them
.TP
.I /var/run/mesos/isolators/network/cni
checkpoints of containers, as a stock agent keeps them`;
}

function section(command: Command): string {
  const operands = command.operands ? ` ${text(command.operands)}` : "";
  return [
    `.SS mesos\\-cni ${text(command.name)}${operands}`,
    text(capital(SUMMARIES[command.name]!)) + ".",
    ...command.flags.map(item),
    ...command.notes ? [".PP", text(command.notes)] : [],
    ".PP",
    command.examples.length > 1 ? "Examples:" : "Example:",
    ...command.examples.flatMap(([command, what]) => [
      ".PP",
      ".nf",
      text(command),
      ".fi",
      ".RS",
      text(what),
      ".RE",
    ]),
  ].join("\n");
}

function item(flag: Flag): string {
  const value = flag.value ? `=\\fI${text(flag.value)}\\fR` : "";
  const standard = flag.usual ? ` (default: ${text(flag.usual)})` : "";
  const short = flag.short ? `\\fB${text(`-${flag.short}`)}\\fR, ` : "";
  return `.TP\n${short}\\fB${text(`--${flag.name}`)}\\fR${value}${flag.repeatable ? " ..." : ""}\n${
    text(flag.help)
  }${standard}`;
}

/** Text that roff prints as it is. */
function text(plain: string): string {
  return plain
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replaceAll("\x1b", "^[")
    .replaceAll(/^([.'])/gm, "\\&$1");
}

export function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
