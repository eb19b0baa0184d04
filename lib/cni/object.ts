/** Text that must be one JSON object: a config, or what a plugin printed. */
import { isObject, type JsonObject, parseJson, quote } from "../base/json.ts";
import { CNI_CODES, CniError } from "./error.ts";

/**
 * Parses text that must be one JSON object.
 *
 * @param where what the text is, for the error: a file, or a plugin's output
 * @throws {CniError} `undecodable`, with line and column as far as the parser knows them
 */
export function parseObject(text: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new CniError(CNI_CODES.undecodable, `${where}: not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) {
    throw new CniError(
      CNI_CODES.undecodable,
      `${where}: must be a JSON object, not ${quote(value)}`,
    );
  }
  return value;
}
