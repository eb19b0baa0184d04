/**
 * Rules of iptables that carry an attachment's name, as the standard plugins write them: `bridge` and
 * `ptp` for `ipMasq`, `portmap` for ports. Each attachment has chains of its own, `CNI-…`.
 */
import { OperatorError } from "../base/error.ts";
import { findTool, runTool } from "../program/tool.ts";

/** An attachment that rules are named after. */
export interface RuledAttachment {
  program: string;
  containerId: string;
  network: string;
  /** Those that its rules are about. */
  addresses: ReadonlySet<string>;
}

/** The attachments that rules of the nat table are named after. @param path PATH, to find iptables */
export async function listRuledAttachments(
  program: string,
  path: string,
): Promise<RuledAttachment[]> {
  const found = new Map<string, RuledAttachment & { addresses: Set<string> }>();
  for (const line of await natRules(program, path)) {
    const [, network, containerId] =
      /--comment "(?:dnat )?name: \\"([^"\\]+)\\" id: \\"([^"\\]+)\\""/.exec(line) ?? [];
    if (network === undefined || containerId === undefined) continue;
    const key = `${network} ${containerId}`;
    const one = found.get(key) ?? { program, containerId, network, addresses: new Set() };
    found.set(key, one);
    const address = / -s ([0-9a-f.:]+)\/(?:32|128) /.exec(line)?.[1];
    if (address !== undefined) one.addresses.add(address);
  }
  return [...found.values()];
}

async function natRules(program: string, path: string): Promise<string[]> {
  const save = findTool(`${program}-save`, path);
  if (!save) return [];
  const { code, stdout } = await runTool(save, ["-t", "nat"]);
  // Without a nat table for the family, it has no rules.
  return code === 0 ? stdout.split("\n").filter((line) => line.startsWith("-A ")) : [];
}

/** The comment that Go's plugins put on a rule of an attachment (containernetworking/plugins, utils). */
function commentsOf(id: string, network: string): string[] {
  return ["", "dnat "].map((kind) => `${kind}name: \\"${network}\\" id: \\"${id}\\"`);
}

/** Removes the rules of the nat table that carry an attachment's comment, and the chains of its own. */
export async function removeAttachmentRules(
  program: string,
  path: string,
  id: string,
  network: string,
): Promise<string[]> {
  const restore = findTool(`${program}-restore`, path);
  if (!restore) return [];
  const comments = commentsOf(id, network);
  const lines = await natRules(program, path);
  const rules = lines.filter((line) =>
    comments.some((comment) => line.includes(`--comment "${comment}"`))
  );
  if (rules.length === 0) return [];
  const jumps = rules.flatMap((line) => / -j (CNI-[A-Za-z0-9-]+)/.exec(line)?.[1] ?? []);
  // Chains that every attachment shares stay.
  const chains = [...new Set(jumps)].filter((chain) =>
    lines.filter((line) => line.includes(` -j ${chain}`)).every((line) => rules.includes(line))
  );
  const outside = rules.filter((line) => !chains.some((chain) => line.startsWith(`-A ${chain} `)));
  const changes = [
    "*nat",
    ...outside.map((line) => line.replace(/^-A/, "-D")),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
    "COMMIT",
    "",
  ].join("\n");
  const done = await runTool(restore, ["--noflush", "--wait=30"], { stdin: changes });
  if (done.code !== 0) {
    throw new OperatorError(
      "iptables_failed",
      `${program}: the rules of container ${id} could not be removed: ${done.stderr}`,
    );
  }
  return rules.map((line) => `${program} -t nat ${line}`);
}
