/** Rules of iptables-legacy are not traced, but they count: what counted while the probe was lost did it. */
import { type Cause, cause, inNetns, type Place, removing, run } from "../../facts/cause.ts";
import type { Evidence } from "../evidence.ts";
import type { LegacyCounter } from "../observe/counters.ts";
import type { Reader } from "./reader.ts";

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
  const attached = scene.interfaces[0];
  const device = attached?.ingress?.name ?? attached?.ifName ?? "lo";
  const { program, table, chain } = rule;
  const call = (...args: string[]) => inNetns(netns, program, "-w", "-t", table, ...args);
  const ways = ["-i", "-o"].filter((way) => chain !== (way === "-o" ? "INPUT" : "OUTPUT"));
  return [cause(
    isPolicy ? "policy_drop" : "rule_drop",
    ["iptables-legacy", place],
    { rule, container: place === "container" ? scene.name : undefined },
    ["its counter grew while the packet was lost"],
    isPolicy
      ? run(...ways.map((way) => call("-I", chain, way, device, "-j", "ACCEPT")))
      : removing(rule.text, call("-D", ...words.slice(1))),
  )];
}
