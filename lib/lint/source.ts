/** One file to lint: its text with places, and the JSON in it as a tree with places. */
import { createScanner, type Node, type ParseError, parseTree } from "jsonc-parser";
import { basename } from "@std/path";
import { type Range } from "./range.ts";
import { SETTINGS_FILE } from "./settings_file.ts";

/** Larger files are not read: a network config of a megabyte is something else by mistake. */
export const SIZE_LIMIT = 1 << 20;

/** Deeper nesting is not parsed; the deepest real configs (multus in a list) have about ten. */
export const DEPTH_LIMIT = 100;

/** Facts about a file on disk; absent for standard input. */
export interface FileFacts {
  /** Permission bits. */
  mode: number;
  uid: number;
  /** Permission bits of its directory, if that was what the operator named. */
  directoryMode?: number;
}

/** Why an entry has no content. */
export interface Obstacle {
  kind: "directory" | "dangling link" | "special file" | "unreadable";
  /** More to say: where a link points, why reading failed. */
  detail: string;
}

export interface SourceOptions {
  /** As shown: the path the operator named, or `<stdin>`. */
  path: string;
  /** The file's content; one byte over {@link SIZE_LIMIT} is enough of a large one. */
  content: Uint8Array | Obstacle;
  facts?: FileFacts;
  /** Found while listing a directory, not named by the operator. */
  listed?: boolean;
}

/** Where a JSON text departs from JSON, though what was meant is clear. */
export interface Syntax {
  comments: Range[];
  trailingCommas: Range[];
  /** The first `[` or `{` that is nested deeper than {@link DEPTH_LIMIT}. */
  tooDeep?: Range;
}

export class Source {
  readonly path: string;
  readonly facts?: FileFacts;
  readonly listed: boolean;
  readonly obstacle?: Obstacle;
  /** What was read of it: no more than one byte over {@link SIZE_LIMIT}. */
  readonly bytes: Uint8Array;
  /** How the bytes are no UTF-8, if they are not. */
  readonly encoding?: "utf-16" | "invalid";
  readonly hasBom: boolean;
  /** Without a byte order mark; empty where there is no readable text. */
  readonly text: string;
  #lineStarts?: number[];
  #syntax?: Syntax;
  #tree?: { root: Node | undefined; errors: ParseError[] };

  constructor(options: SourceOptions) {
    this.path = options.path;
    this.facts = options.facts;
    this.listed = options.listed ?? false;
    if (options.content instanceof Uint8Array) {
      const bytes = this.bytes = options.content;
      this.encoding = foreignEncoding(bytes);
      this.hasBom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
      this.text = this.encoding === "utf-16" || this.isTooLarge
        ? ""
        : new TextDecoder().decode(bytes);
    } else {
      this.obstacle = options.content;
      this.bytes = new Uint8Array(0);
      this.hasBom = false;
      this.text = "";
    }
  }

  get isTooLarge(): boolean {
    return this.bytes.length > SIZE_LIMIT;
  }

  /** Whether the name says that it is a network config; an agent reads the others as well. */
  get hasConfigName(): boolean {
    return /\.(conf|conflist|json|cni)$/.test(this.path) && basename(this.path) !== SETTINGS_FILE;
  }

  /** A file that only lies beside the configs: not named by the operator, nor named like one. */
  get isBystander(): boolean {
    // A name without an extension says nothing; a backup has one.
    const isNeutral = /(^|\/)[^./~]+$/.test(this.path) && /^\s*\{/.test(this.text);
    return this.listed && !this.hasConfigName && !isNeutral;
  }

  get isBlank(): boolean {
    return this.text.trim() === "";
  }

  /** Line and column of an offset, both from 1; a column is a UTF-16 code unit. */
  position(offset: number): { line: number; column: number } {
    const starts = this.#lineStarts ??= lineStarts(this.text);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - starts[low]! + 1 };
  }

  /** Where a line starts, numbered from 1; the end of the text for one behind the last. */
  lineStart(number: number): number {
    return (this.#lineStarts ??= lineStarts(this.text))[number - 1] ?? this.text.length;
  }

  /** The text of a line, numbered from 1, without its end. */
  line(number: number): string {
    const starts = this.#lineStarts ??= lineStarts(this.text);
    let end = starts[number] ?? this.text.length;
    while (end > starts[number - 1]! && "\r\n".includes(this.text[end - 1]!)) end -= 1;
    return this.text.slice(starts[number - 1], end);
  }

  get syntax(): Syntax {
    return this.#syntax ??= scan(this.text);
  }

  /** The JSON value, as far as it can be made out; undefined if it can't. */
  get root(): Node | undefined {
    return this.#parse().root;
  }

  /** The first place that is no JSON, comments and trailing commas aside. */
  get syntaxError(): ParseError | undefined {
    return this.#parse().errors[0];
  }

  #parse(): { root: Node | undefined; errors: ParseError[] } {
    if (this.#tree) return this.#tree;
    const errors: ParseError[] = [];
    // The parser is recursive: what is nested too deep would overflow its stack.
    const root = this.isBlank || this.syntax.tooDeep
      ? undefined
      : parseTree(this.text, errors, { allowTrailingComma: true });
    return this.#tree = { root, errors };
  }
}

function foreignEncoding(bytes: Uint8Array): "utf-16" | "invalid" | undefined {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return "utf-16";
  // JSON starts with an ASCII character: a NUL beside it is half of a wider code unit.
  if (bytes.length > 1 && (first === 0) !== (second === 0)) return "utf-16";
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return "invalid";
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Walks the tokens once, without recursion. */
function scan(text: string): Syntax {
  const scanner = createScanner(text, false);
  const syntax: Syntax = { comments: [], trailingCommas: [] };
  let depth = 0;
  let comma: Range | undefined;
  while (scanner.scan(), scanner.getTokenOffset() < text.length) {
    const range = { offset: scanner.getTokenOffset(), length: scanner.getTokenLength() };
    // The first character tells the kinds apart that matter here.
    switch (text[range.offset]) {
      case " ":
      case "\t":
      case "\r":
      case "\n":
        continue;
      case "/":
        if (range.length > 1) syntax.comments.push(range);
        continue;
      case "{":
      case "[":
        depth += 1;
        if (depth > DEPTH_LIMIT) syntax.tooDeep ??= range;
        break;
      case "}":
      case "]":
        depth -= 1;
        if (comma) syntax.trailingCommas.push(comma);
        break;
    }
    comma = text[range.offset] === "," ? range : undefined;
  }
  return syntax;
}
