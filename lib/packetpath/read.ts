/** The agent's rules, by iptables itself. */
import { OperatorError } from "../base/error.ts";
import { parseRules, type RuleTable } from "./parse.ts";

/** How long iptables waits for another one that holds its lock, in seconds. */
const LOCK_SECONDS = "5";

/**
 * A table of the agent's iptables (`ip6tables` for IPv6).
 *
 * @returns undefined where iptables is not installed
 * @throws {OperatorError} `iptables_failed` when it can't list the table
 */
export async function readRules(
  table: "filter" | "nat",
  program: "iptables" | "ip6tables" = "iptables",
): Promise<RuleTable | undefined> {
  const args = ["-w", LOCK_SECONDS, "-t", table, "-S"];
  let output;
  try {
    output = await new Deno.Command(program, { args, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (output.success) return parseRules(decode(output.stdout));
  throw new OperatorError(
    "iptables_failed",
    `${program} ${args.join(" ")}: ${decode(output.stderr).trim() || `exit ${output.code}`}`,
  );
}
