/** Standard input of the subcommands. */
import { messageOf } from "../base/error.ts";
import { parseJson } from "../base/json.ts";
import { readAllInput } from "../base/streams.ts";
import { UsageError } from "./command.ts";

/**
 * A JSON document from standard input; undefined when that is empty, or a terminal.
 *
 * @param most bytes, if another number than is good for a config or a request
 */
export async function readJson(most?: number): Promise<unknown> {
  if (Deno.stdin.isTerminal()) return undefined;
  try {
    const text = await readAllInput(most);
    if (text.trim() === "") return undefined;
    return parseJson(text);
  } catch (error) {
    throw new UsageError(`standard input is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
