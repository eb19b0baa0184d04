/** Findings for people: the line with carets below it, as compilers show them. */
import { plain } from "../../base/printable.ts";
import type { Diagnostic, Fix, Severity } from "../rule.ts";
import { summary } from "./summary.ts";

/** Wider lines are cut around the place. */
const WIDTH = 100;

const COLOR: Record<Severity, string> = { error: "31", warning: "33", info: "36" };

export function reportText(
  diagnostics: readonly Diagnostic[],
  options: { files: number; color: boolean },
): string {
  const paint = (code: string, text: string) =>
    options.color ? `\x1b[${code}m${text}\x1b[0m` : text;
  const blocks = diagnostics.filter(({ severity }) => severity !== "info")
    .map((diagnostic) => block(diagnostic, paint));
  const infos = diagnostics.filter(({ severity }) => severity === "info")
    .map((diagnostic) => line(diagnostic, paint));
  if (infos.length > 0) infos.push("");
  return [...blocks, ...infos, summary(diagnostics, options.files)].join("\n");
}

function mends(fix: Fix | undefined): string {
  return fix ? ` (--fix${fix.safety === "safe" ? "" : " --unsafe-fixes"} does it)` : "";
}

type Paint = (code: string, text: string) => string;

/** An info is good to know, and takes no more room than that. */
function line({ code, source, range, message, help, fix }: Diagnostic, paint: Paint): string {
  const { line, column } = source.position(range.offset);
  return `${paint(`1;${COLOR.info}`, `info[${code}]`)} ${
    printable(source.path)
  }:${line}:${column}: ${printable(message)}; ${printable(help)}${mends(fix)}`;
}

function block(
  { code, name, severity, source, range, message, help, fix }: Diagnostic,
  paint: Paint,
) {
  const { line, column } = source.position(range.offset);
  const number = String(line);
  const gutter = " ".repeat(number.length);
  const bar = paint("34", "|");
  const head = `${paint(`1;${COLOR[severity]}`, `${severity}[${code}]`)}${
    paint("1", `: ${printable(message)}`)
  }`;
  const lines = [
    head,
    `${gutter}${paint("34", "-->")} ${printable(source.path)}:${line}:${column}`,
  ];
  if (source.text !== "" && (range.length > 0 || range.offset > 0)) {
    const { excerpt, before, under } = cut(source.line(line), column - 1, range.length);
    lines.push(`${gutter} ${bar}`);
    lines.push(`${paint("34", number)} ${bar} ${excerpt}`);
    lines.push(
      `${gutter} ${bar} ${before}${paint(COLOR[severity], "^".repeat(Math.max(1, under)))}`,
    );
  }
  lines.push(`${gutter} ${paint("34", "=")} help: ${printable(help)}${mends(fix)}`);
  lines.push(`${gutter} ${paint("34", "=")} rule: ${name}, see --explain=${code}`, "");
  return lines.join("\n");
}

/** The part of a line around the place, and how far the carets stand and reach. */
function cut(line: string, start: number, length: number) {
  const end = Math.min(line.length, start + length);
  const from = end <= WIDTH ? 0 : Math.max(0, Math.min(start - 20, line.length - WIDTH));
  const to = Math.min(line.length, from + WIDTH);
  const lead = from > 0 ? "…" : "";
  return {
    excerpt: lead + printable(line.slice(from, to)) + (to < line.length ? "…" : ""),
    before: " ".repeat(columns(lead + printable(line.slice(from, start)))),
    under: columns(printable(line.slice(start, Math.min(end, to)))),
  };
}

/** A file's text must not steer the terminal; a tab is two columns wide here. */
function printable(text: string): string {
  return plain(text.replaceAll("\t", "  ").replaceAll("\n", "\ufffd"));
}

/** Columns of a terminal: characters of East Asian scripts take two. */
function columns(text: string): number {
  let count = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const isWide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0x1f300 && code <= 0x3fffd);
    count += isWide ? 2 : 1;
  }
  return count;
}
