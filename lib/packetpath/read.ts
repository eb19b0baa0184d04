/** The agent's rules, by iptables itself. */
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { findTool, runTool } from "../program/tool.ts";
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
  // Also where administrators' programs are: cron's PATH has no sbin.
  const file = findTool(program, variable("PATH") ?? "");
  if (!file) return undefined;
  const output = await runTool(file, args);
  if (output.code === 0) return parseRules(output.stdout);
  throw new OperatorError(
    "iptables_failed",
    `${program} ${args.join(" ")}: ${output.stderr || `exit ${output.code}`}`,
  );
}
