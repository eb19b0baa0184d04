/** JSON as it comes from files and plugins: of unknown shape until a reader has looked at it. */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** JSON.parse source text access (ECMAScript, stage 4), of which TypeScript's library has nothing yet. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  rawJSON(text: string): JsonObject;
  isRawJSON(value: unknown): boolean;
};
/** What may be a number that a double does not hold, or writes otherwise: long, `1.0`, `1e3`, `-0`. */
const PRECISE = /(?:^|[:[,\s])(?:-?\d{16}|-?\d+[.eE]|-0)/;

/** Keeps the digits of a number for whoever the document is handed on to. */
function keepDigits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  const isNumber = typeof value === "number" && source !== undefined;
  return isNumber && String(value) !== source ? rawJSON(source) : value;
}

/**
 * How many lists and objects may stand in one another (RFC 8259, section 9, leaves that to the
 * reader): what reads a value calls itself for what is inside, and would run out of stack.
 */
const DEEPEST = 500;

/**
 * As JSON.parse, whose own error quotes the text: that may be a file that is no config, and whose
 * content is not everybody's to see. A number that JavaScript would write with other digits than it
 * came with is kept as text: JSON.stringify writes it as it came, and no reader takes it for a number.
 *
 * @throws {SyntaxError} with line and column; also for more than 500 lists and objects in one another
 */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new SyntaxError(`Lists and objects deeper than ${DEEPEST}`);
  try {
    return PRECISE.test(text)
      ? JSON.parse(text, keepDigits as Parameters<typeof JSON.parse>[1])
      : JSON.parse(text);
  } catch (error) {
    if (!isQuoting(error)) throw placed(error);
    const before = text.slice(0, unexpectedIn(text)).split("\n");
    const place = `line ${before.length} column ${before.at(-1)!.length + 1}`;
    throw new SyntaxError(`Unexpected character in JSON at ${place}`);
  }
}

function isTooDeep(text: string): boolean {
  if (text.split(/[[{]/, DEEPEST + 2).length <= DEEPEST + 1) return false;
  let depth = 0;
  let isText = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') isText = !isText;
    else if (isText) at += character === "\\" ? 1 : 0;
    else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    if (depth > DEEPEST) return true;
  }
  return false;
}

/** The parser's words, without its own count of characters. */
function placed(error: unknown): unknown {
  if (!(error instanceof SyntaxError)) return error;
  const [, what, place] =
    /^(.*?)(?: in JSON)? at position \d+ \((line \d+ column \d+)\)$/s.exec(error.message) ?? [];
  return place === undefined ? error : new SyntaxError(`${what} at ${place}`, { cause: error });
}

/** Whether an error is of the kind that quotes the text and has no place: an unexpected token. */
function isQuoting(error: unknown): boolean {
  return error instanceof SyntaxError && error.message.endsWith("is not valid JSON");
}

/** Where that token is: what ends before it is incomplete, and not wrong in this way. */
function unexpectedIn(text: string): number {
  let [good, bad] = [0, text.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      JSON.parse(text.slice(0, middle));
      good = middle;
    } catch (error) {
      if (isQuoting(error)) bad = middle;
      else good = middle;
    }
  }
  return good;
}

/** Whether a value is a JSON object (not an array, not null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawJSON(value);
}

/**
 * What a table has under a word that may be anything: its own members alone, not those that every
 * object of JavaScript has, as `constructor`.
 */
export function lookup<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}

/** A value as an error message quotes it: JSON, cut to a readable length. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
