/** JSON as it comes from files and plugins: of unknown shape until a reader has looked at it. */
import { CNI_CODES, CniError } from "./error.ts";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** Whether a value is a JSON object (not an array, not null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses text that must be one JSON object.
 *
 * @param where what the text is, for the error: a file, or a plugin's output
 * @throws {CniError} `undecodable`, with line and column as far as the parser knows them
 */
export function parseObject(text: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(CNI_CODES.undecodable, `${where}: not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) {
    throw new CniError(
      CNI_CODES.undecodable,
      `${where}: must be a JSON object, not ${show(value)}`,
    );
  }
  return value;
}

/** A value as an error message quotes it: JSON, cut to a readable length. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
