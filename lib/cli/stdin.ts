/** Standard input of the subcommands. */
import { messageOf } from "../base/error.ts";
import { parseJson } from "../base/json.ts";
import { UsageError } from "./command.ts";

/** A JSON document from standard input; undefined when that is empty, or a terminal. */
export async function readJson(): Promise<unknown> {
  if (Deno.stdin.isTerminal()) return undefined;
  const text = await new Response(Deno.stdin.readable).text();
  if (text.trim() === "") return undefined;
  try {
    return parseJson(text);
  } catch (error) {
    throw new UsageError(`standard input is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
