/** What a network's last mapping leaves on purpose, for the next: its chain of the nat table. */
import { OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { Changes } from "./iptables_rules.ts";
import { IptablesTool } from "./iptables_tool.ts";
import { CHANGES_LOCK, prepareState } from "./state.ts";

const PATIENCE_MS = 30_000;
/** What iptables takes as a chain's name. */
const NAME = /^[A-Za-z0-9_-]{1,28}$/;

/**
 * Removes an empty chain of the nat table with the jumps to it, in both families.
 *
 * @param path PATH, to find iptables
 * @returns whether there was one
 * @throws {OperatorError} `chain_in_use` if it has rules
 */
export async function removeUnusedChain(chain: string, path: string): Promise<boolean> {
  if (!NAME.test(chain)) return false;
  prepareState();
  using lock = await FileLock.take(CHANGES_LOCK, PATIENCE_MS);
  if (!lock) throw new OperatorError("busy", `another program keeps holding ${CHANGES_LOCK}`);
  let found = false;
  for (const family of [4, 6] as const) {
    if (!IptablesTool.isInstalled(family, path)) continue;
    const tool = await IptablesTool.find(family, path);
    const lines = (await tool.save("nat")).split("\n");
    if (!lines.some((line) => line.startsWith(`:${chain} `))) continue;
    const rules = lines.filter((line) => line.startsWith(`-A ${chain} `));
    if (rules.length > 0) {
      throw new OperatorError(
        "chain_in_use",
        `the chain ${chain} has ${rules.length} rule${rules.length > 1 ? "s" : ""}, such as ` +
          `${rules[0]}: mesos-cni gc shows whose they are`,
      );
    }
    const changes = new Changes();
    for (const line of lines) {
      if (line.endsWith(` -j ${chain}`)) changes.add("nat", line.replace(/^-A /, "-D "));
    }
    changes.add("nat", `-X ${chain}`);
    await tool.restore(changes.toString(), lock);
    found = true;
  }
  return found;
}
