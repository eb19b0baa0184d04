/** Rules of iptables-legacy are not traced, but they count: what counted while the probe was lost did it. */
import { type Cause, cause, type Place, removing } from "../../facts/cause.ts";
import type { Evidence } from "../evidence.ts";
import type { LegacyCounter } from "../observe/counters.ts";
import { acceptance } from "./agent_firewall.ts";
import type { Reader } from "./reader.ts";

/** Built-in chains that see one link only. */
const HOOKS: Readonly<Record<string, "input" | "output">> = { INPUT: "input", OUTPUT: "output" };

export const countingRule: Reader = {
  name: "the rule of iptables-legacy that counted",
  applies: ({ drops }) =>
    drops.length === 0 || drops.some(({ reason }) => reason === "NETFILTER_DROP"),
  read: legacyCauses,
};

/** The rules of iptables-legacy that counted, of the question's family. */
export function grownLegacy({ grown, question }: Evidence): LegacyCounter[] {
  return grown.filter((one) => one.kind === "legacy").filter(({ family }) =>
    family === question.family
  );
}

export function legacyCauses(e: Evidence): Cause[] {
  const { scene } = e;
  const dropping = grownLegacy(e).find(({ drops }) => drops);
  if (!dropping) return [];
  const { netns, rule, words } = dropping;
  const place: Place = netns === undefined
    ? "agent"
    : netns === scene.inside.netns
    ? "container"
    : "neighbour";
  const isPolicy = rule.text.startsWith("-P");
  return [cause(
    isPolicy ? "policy_drop" : "rule_drop",
    ["iptables-legacy", place],
    { rule, container: place === "container" ? scene.name : undefined },
    ["its counter grew while the packet was lost"],
    isPolicy
      ? acceptance(e, rule, HOOKS[rule.chain] ?? "forward")
      : removing(rule.text, [rule.program, "-w", "-t", rule.table, "-D", ...words.slice(1)]),
  )];
}
