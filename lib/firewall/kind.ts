/**
 * Which firewall a host speaks. Where iptables has rules of both of its kinds, packets meet both;
 * ours go where the host's own are, since it is there that a policy drops what has no rule.
 */
import { OperatorError } from "../base/error.ts";
import type { Family } from "../base/ip.ts";
import { Programs } from "./legacy.ts";
import { currentGeneration, NfTables } from "./nf_tables.ts";
import { type FoundRule, jumpOf } from "./rule.ts";
import { IptablesTool, type Kind, legacyTables } from "./tool.ts";
import type { FirewallView } from "./view.ts";

export type Kinds = Readonly<Record<Family, Kind>>;

/** A kind, and what it was decided by, in a few words. */
export interface Decision {
  kind: Kind;
  by: string;
}

/** @param path where to look for iptables first @throws {OperatorError} */
export async function decideKind(family: Family, path: string): Promise<Decision> {
  const tool = await IptablesTool.find(family, path);
  const mayBeLegacy = tool?.kind === "legacy" || legacyTables(family).length > 0;
  const legacy = mayBeLegacy ? await IptablesTool.findLegacy(family, path) : undefined;
  const usual: Decision = tool
    ? { kind: tool.kind, by: tool.file }
    : { kind: "nf_tables", by: "no iptables is installed" };
  if (!legacy || currentGeneration() === undefined) return usual;
  const drivers = { nf_tables: new NfTables(), legacy: Programs.legacy(path) };
  // Most often the other has no filter, and then no program is run.
  const isOwn = async (kind: Kind) =>
    (kind === "nf_tables" || legacyTables(family).includes("filter")) &&
    filters(await drivers[kind].look(family), family);
  const other = usual.kind === "legacy" ? "nf_tables" : "legacy";
  if (!await isOwn(other) || await isOwn(usual.kind)) return usual;
  return { kind: other, by: `the host's own rules are there, and none where ${usual.by} looks` };
}

/** The choice for IPv4, for people. */
export async function tellKind(path: string): Promise<Decision | { problem: string }> {
  try {
    return await decideKind(4, path);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { problem: error.message };
  }
}

/** Whether somebody but the plugins of containers has rules in the filter. */
function filters(view: FirewallView, family: Family): boolean {
  return ["INPUT", "FORWARD", "OUTPUT"].some((chain) => {
    const place = { family, table: "filter", chain } as const;
    return view.policy(place) === "DROP" || view.rules(place).some((rule) => !isPlugins(rule));
  });
}

function isPlugins(rule: FoundRule): boolean {
  return /^(?:MESOS-)?CNI-/.test(jumpOf(rule) ?? "");
}
