/** Rules of iptables-legacy are not traced, but they count: what counted while the probe was lost did it. */
import { type Cause, cause } from "../../facts/cause.ts";
import type { Evidence } from "../evidence.ts";
import type { LegacyCounter } from "../observe/counters.ts";
import { acceptance, placeIn } from "./agent_firewall.ts";
import { type Reader, ruleCause } from "./reader.ts";

/** Built-in chains that see one link only. */
const HOOKS: Readonly<Record<string, "input" | "output">> = { INPUT: "input", OUTPUT: "output" };

export const countingRule: Reader = (e) =>
  e.drops.length === 0 || e.drops.some(({ reason }) => reason === "NETFILTER_DROP")
    ? legacyCauses(e)
    : [];

/** The rules of iptables-legacy that counted, of the question's family. */
export function grownLegacy({ grown, question }: Evidence): LegacyCounter[] {
  return grown.filter((one) => one.kind === "legacy").filter(({ family }) =>
    family === question.family
  );
}

export function legacyCauses(e: Evidence): Cause[] {
  const dropping = grownLegacy(e).find(({ drops }) => drops);
  if (!dropping) return [];
  const { netns, rule } = dropping;
  const place = placeIn(e.scene, netns) ?? "agent";
  const about = { container: place === "container" ? e.scene.name : undefined };
  const seen = ["its counter grew while the packet was lost"];
  if (rule.remove) return [ruleCause("rule_drop", rule, seen, about, { place })];
  const { ref, mechanism } = rule;
  const fix = acceptance(e, ref, HOOKS[ref.chain] ?? "forward");
  return [cause("policy_drop", [mechanism, place], { ...about, rule: ref }, seen, fix)];
}
