/** What the tests of the documents need to know of Markdown. */
import { join } from "@std/path";

export interface Block {
  /** The words after the fence: `sh run`, `text output`. */
  info: readonly string[];
  text: string;
  /** Of the fence, counted from 1. */
  line: number;
}

export interface Heading {
  level: number;
  text: string;
  line: number;
}

export interface Document {
  blocks: Block[];
  headings: Heading[];
  /** The targets of `[…](TARGET)` outside of code. */
  links: { target: string; line: number }[];
}

export function readMarkdown(text: string): Document {
  const document: Document = { blocks: [], headings: [], links: [] };
  let block: Block | undefined;
  let indent = 0; // of a block in a list
  for (const [index, content] of text.split("\n").entries()) {
    const line = index + 1;
    const fence = /^( *)```(.*)$/.exec(content);
    if (fence) {
      if (block) document.blocks.push(block);
      const [, indentation, info] = fence as unknown as [string, string, string];
      block = block ? undefined : { info: info.trim().split(/\s+/), text: "", line };
      indent = indentation.length;
      continue;
    }
    if (block) {
      block.text += content.slice(indent) + "\n";
      continue;
    }
    const heading = /^(#+) +(.*)$/.exec(content);
    if (heading) document.headings.push({ level: heading[1]!.length, text: heading[2]!, line });
    for (const [, target] of content.replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)) {
      document.links.push({ target: target!, line });
    }
  }
  return document;
}

/** The fragment by which a heading is linked to. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, "")
    .replaceAll(/\s/g, "-");
}

/** The documents below a directory. */
export function listMarkdown(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory) {
      return entry.name.startsWith(".") || entry.name === "dist" ? [] : listMarkdown(path);
    }
    return entry.name.endsWith(".md") ? [path] : [];
  });
}
