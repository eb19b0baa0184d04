/** What the rules say about themselves: `--explain`, and the table in docs/lint-rules.md. */
import type { Example, RuleText } from "./rule.ts";
import { bridge } from "./rules/example.ts";
import { RULES } from "./rules/mod.ts";

/** The background of a rule, with a bad and a good example. */
export function explain(rule: RuleText, bold: (text: string) => string): string {
  const needs = rule.needs ? ` (${rule.needs})` : "";
  return [
    `${bold(`${rule.code} ${rule.name}`)} (${rule.severity}): ${rule.title}`,
    "",
    wrap(rule.why),
    "",
    bold(`bad${needs}:`),
    indent(exampleText(rule.bad)),
    "",
    bold("good:"),
    indent(exampleText(rule.good ?? bridge())),
    "",
    rule.fix === "safe"
      ? "--fix mends it."
      : rule.fix === "unsafe"
      ? "--fix --unsafe-fixes mends it, by a guess."
      : "It has no automatic fix.",
    `Switch it: --rule=${rule.code}=off, or {"rules": {"${rule.name}": "off"}} in .mesos-cni-lint.json`,
    `In one place: "_lint_ignore": "${rule.name}" in the object; of a network: {"networks": {"NAME": {"${rule.name}": "off"}}}`,
  ].join("\n");
}

/** One line for each rule. */
export function ruleList(): string {
  const width = Math.max(...RULES.map((rule) => rule.name.length));
  return RULES.map((rule) =>
    `${rule.code}  ${rule.name.padEnd(width)}  ${rule.severity.padEnd(7)}  ${rule.title}`
  ).join("\n");
}

/** The rules as a Markdown table. */
export function ruleTable(): string {
  return [
    "| code | name | severity | finds | `--fix` |",
    "| --- | --- | --- | --- | --- |",
    ...RULES.map((rule) =>
      `| ${rule.code} | ${rule.name} | ${rule.severity} | ${rule.title.replaceAll("|", "\\|")} | ${
        rule.fix ?? ""
      } |`
    ),
  ].join("\n");
}

/** The files of an example by name. */
export function exampleFiles(example: Example): Record<string, string> {
  if (typeof example !== "string") return { ...example };
  return { [/^ {2}"plugins": \[/m.test(example) ? "net.conflist" : "net.conf"]: example };
}

function exampleText(example: Example): string {
  const files = Object.entries(exampleFiles(example));
  return files.map(([name, text]) => (files.length > 1 ? `# ${name}\n` : "") + shown(text)).join(
    "\n",
  );
}

/** Longer examples are cut: their length is all that they show. */
const MOST_LINES = 40;

function shown(text: string): string {
  const visible = text.replace("\ufeff", "<EF BB BF>").trimEnd();
  if (visible === "") return "(an empty file)";
  const lines = visible.split("\n");
  const rest = lines.length - MOST_LINES;
  return rest > 0 ? [...lines.slice(0, MOST_LINES), `… ${rest} more lines`].join("\n") : visible;
}

function indent(text: string): string {
  return text.split("\n").map((line) => line && `  ${line}`).join("\n");
}

/** Lines of at most 80 characters. */
function wrap(text: string): string {
  return text.replaceAll(/(?=\S)(.{1,80})(?: |$)/g, "$1\n").trimEnd();
}
