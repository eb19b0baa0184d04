/** The commands in docs/reference.md, from the tables behind `--help`. */
import { NETWORK_FLAGS } from "../../lib/cli/agent_flags.ts";
import { type Command, COMMON_FLAGS, type Flag } from "../../lib/cli/command.ts";
import { LAYOUT_FLAGS } from "../../lib/cli/layout_flags.ts";
import { SUMMARIES } from "../../lib/cli/summaries.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { capital } from "../../lib/cli/man.ts";
import { withSections } from "./sections.ts";

/** Flags that many commands take are explained once. */
const SHARED: readonly { title: string; flags: readonly Flag[] }[] = [
  { title: "Flags of networks", flags: NETWORK_FLAGS },
  { title: "Flags of directories", flags: LAYOUT_FLAGS },
  { title: "Flags of every command", flags: COMMON_FLAGS },
];

/** All commands that are shown to people, each once, those of a group one after the other. */
export async function allCommands(): Promise<Command[]> {
  const shown = TABLE.filter((entry) => !entry.hidden && !entry.short);
  return (await Promise.all(shown.map((entry) => entry.load()))).flat();
}

/** A reference with its commands as the program has them. */
export async function withCommands(reference: string): Promise<string> {
  const commands = (await allCommands()).map(section);
  const shared = SHARED.map(({ title, flags }) => `### ${title}\n\n${table(flags)}\n`);
  return withSections(reference, "commands", [...commands, ...shared]);
}

function section({ name, operands, flags, notes, examples }: Command): string {
  const shared = SHARED.find((group) => group.flags.every((flag) => flags.includes(flag)));
  const own = flags.filter((flag) => !shared?.flags.includes(flag));
  return [
    `### mesos-cni ${name}`,
    `${capital(SUMMARIES[name]!)}.${shortForm(name)}`,
    `\`\`\`text\nmesos-cni ${name}${flags.length > 0 ? " [FLAG…]" : ""}${
      operands ? ` ${operands}` : ""
    }\n\`\`\``,
    ...own.length > 0 ? [table(own)] : [],
    ...shared ? [`And the [${shared.title.toLowerCase()}](#${anchor(shared.title)}).`] : [],
    ...notes ? [`\`\`\`text\n${notes}\n\`\`\``] : [],
    ...examples.map(([command, what]) => `\`\`\`sh\n${command}\n\`\`\`\n\n${capital(what)}.`),
  ].join("\n\n") + "\n";
}

function shortForm(name: string): string {
  const short = TABLE.find((entry) => entry.short === name);
  return short ? ` Short: \`mesos-cni ${short.name}\`.` : "";
}

function table(flags: readonly Flag[]): string {
  const rows = flags.map(({ name, short, value, help, repeatable, usual }) => {
    const cells = [
      `${short ? `\`-${short}\`, ` : ""}\`--${name}${value ? `=${value}` : ""}\`${
        repeatable ? " (repeatable)" : ""
      }`,
      help,
      usual ? `\`${usual}\`` : "",
    ];
    // A bar ends a cell, in code too.
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return ["| flag | | default |", "| --- | --- | --- |", ...rows].join("\n");
}

function anchor(title: string): string {
  return title.toLowerCase().replaceAll(" ", "-");
}
