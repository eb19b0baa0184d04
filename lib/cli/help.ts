/** The text of `--help`, from the same tables that parse the arguments. */
import { type Command, COMMON_FLAGS, type Entry, type Flag } from "./command.ts";
import { bold } from "./output.ts";
import { SUMMARIES } from "./summaries.ts";
import { TABLE } from "./table.ts";

/** The help of the whole program. */
export function programHelp(): string {
  return `${bold("mesos-cni")} gives the containers of a Mesos agent their networks.

${bold("usage:")} mesos-cni COMMAND [FLAG…] [ARG…]

${bold("daily:")}
${listed(({ name, short }) => DAILY.has(name) || short !== undefined)}

${bold("all others:")}
${listed(({ name, short }) => !DAILY.has(name) && short === undefined)}

Directories are found: in the environment, in /etc/mesos-cni.json, in the flags of the agent that
runs here; "mesos-cni config" shows them. A stock agent uses the plugin, the linter and the daily
commands; run and isolator are for a containerizer or an OCI runtime.
Called as mesos-cni-port-mapper (a symlink), this file is that CNI plugin.

${bold("example:")}
  mesos-cni status                  # is anything wrong on this agent?
  mesos-cni diagnose 5f3a           # why does the container whose id begins so not answer?
  mesos-cni help diagnose           # the flags of a command`;
}

/** What a day begins with, beside the short forms. */
const DAILY = new Set(["status", "identify"]);

function listed(wanted: (entry: Entry) => boolean): string {
  return rows(
    TABLE.filter((entry) => !entry.hidden && wanted(entry))
      .map(({ name, short }) => [name, SUMMARIES[short ?? name]!]),
  );
}

/** The help of a group such as `netns`. */
export function groupHelp(entry: Entry, commands: readonly Command[]): string {
  return `${bold(`mesos-cni ${entry.name}`)}: ${SUMMARIES[entry.name]}

${bold("usage:")} mesos-cni ${entry.name} COMMAND [FLAG…] [ARG…]

${rows(commands.map((command) => [command.name, SUMMARIES[command.name]!]))}

${bold("example:")}
  ${commands[0]!.examples[0][0]}`;
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const operands = command.operands ? ` ${command.operands}` : "";
  const examples = command.examples.map(([command, what]) => `  ${command}\n      ${what}`);
  return `${bold(`mesos-cni ${command.name}`)}: ${SUMMARIES[command.name]}

${bold("usage:")} mesos-cni ${command.name} [FLAG…]${operands}

${bold("flags:")}
${rows([...command.flags, ...COMMON_FLAGS].map((flag) => [spelled(flag), explained(flag)]))}
${command.notes ? `\n${command.notes}\n` : ""}
${bold(examples.length > 1 ? "examples:" : "example:")}
${examples.join("\n")}`;
}

function spelled(flag: Flag): string {
  return `${flag.short ? `-${flag.short}, ` : ""}--${flag.name}${
    flag.value ? `=${flag.value}` : ""
  }${flag.repeatable ? " …" : ""}`;
}

function explained(flag: Flag): string {
  return flag.help + (flag.usual ? ` (default: ${flag.usual})` : "");
}

function rows(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.min(34, Math.max(...pairs.map(([left]) => left.length)) + 2);
  return pairs.map(([left, right]) =>
    left.length < width
      ? `  ${left.padEnd(width)}${right}`
      : `  ${left}\n  ${" ".repeat(width)}${right}`
  ).join("\n");
}
