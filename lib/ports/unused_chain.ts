/** What a network's last mapping leaves on purpose, for the next: its chain of the nat table. */
import { OperatorError } from "../base/error.ts";
import { IptablesTool } from "./iptables_tool.ts";
import { lockChanges } from "./locks.ts";
import { prepareState } from "./state_dir.ts";

/** What iptables takes as a chain's name. */
const NAME = /^[A-Za-z0-9_-]{1,28}$/;

/** Whether the nat table of a family has the chain. @throws {OperatorError} */
export async function hasNatChain(chain: string, path: string): Promise<boolean> {
  for await (const _ of tablesWith(chain, path)) return true;
  return false;
}

/**
 * Removes an empty chain of the nat table with the jumps to it, in both families.
 *
 * @param path PATH, to find iptables
 * @returns whether there was one
 * @throws {OperatorError} `chain_in_use` if it has rules
 */
export async function removeUnusedChain(chain: string, path: string): Promise<boolean> {
  prepareState();
  using lock = await lockChanges();
  let found = false;
  for await (const { tool, lines } of tablesWith(chain, path)) {
    const rules = lines.filter((line) => line.startsWith(`-A ${chain} `));
    if (rules.length > 0) {
      throw new OperatorError(
        "chain_in_use",
        `the chain ${chain} has ${rules.length} rule${rules.length > 1 ? "s" : ""}, such as ` +
          `${rules[0]}: mesos-cni gc shows whose they are`,
      );
    }
    const jumps = lines.filter((line) => line.endsWith(` -j ${chain}`));
    const deletions = jumps.map((line) => line.replace(/^-A /, "-D "));
    await tool.restore(["*nat", ...deletions, `-X ${chain}`, "COMMIT", ""].join("\n"), lock);
    found = true;
  }
  return found;
}

/** The nat tables that have a chain, as iptables-save writes them. */
async function* tablesWith(
  chain: string,
  path: string,
): AsyncGenerator<{ tool: IptablesTool; lines: string[] }> {
  if (!NAME.test(chain)) return;
  for (const family of [4, 6] as const) {
    if (!IptablesTool.isInstalled(family, path)) continue;
    const tool = await IptablesTool.find(family, path);
    const lines = (await tool.save("nat")).split("\n");
    if (lines.some((line) => line.startsWith(`:${chain} `))) yield { tool, lines };
  }
}
