/** Placeholders of templates, which nobody has replaced: what else is wrong with them follows. */
import { quote } from "./tree.ts";

/** What can hardly be anything else. */
const SURE = /\{\{.*?\}\}|\{\{[^{}"]+\}\}|\{%.*?%\}|\$\{[^}\n]*\}|<%.*?%>/;

/** Text that may be meant as it stands: a placeholder only where something is wrong with it. */
const LIKELY =
  /__[A-Z][A-Z0-9_]*__|@[A-Z][A-Z0-9_]*@|<[A-Za-z][\w .-]*>|\$\w+|\$\([^)\n]*\)|%(?:\[\d\])?[sdqtv]\b|%[A-Z][A-Z0-9_]*%/;

const ANY = new RegExp(`${SURE.source}|${LIKELY.source}`, "g");

/** Whether a string holds what is a placeholder in any case. */
export function isTemplate(text: string): boolean {
  return SURE.test(text);
}

/** Whether a string that something is wrong with holds a placeholder. */
export function mayBeTemplate(text: string): boolean {
  return text.search(ANY) >= 0;
}

/** What to say of a string that holds one. */
export function unreplaced(literal: string): { message: string; help: string } {
  const shown = quote(literal.replaceAll('"', ""));
  return {
    message: `${shown} is a placeholder of a template, which was not replaced`,
    help: "render the file first, and lint what comes out",
  };
}

/** The placeholder at a place of a text, or one character before or behind it. */
export function placeholderAt(text: string, offset: number): { offset: number; length: number } {
  const from = text.lastIndexOf("\n", offset - 1) + 1;
  // One of braces may go on in the lines below.
  for (const { index, 0: { length } } of text.slice(from, offset + 500).matchAll(ANY)) {
    if (from + index - 1 <= offset && offset <= from + index + length) {
      return { offset: from + index, length };
    }
  }
  return { offset, length: 0 };
}
