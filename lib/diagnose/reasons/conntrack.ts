/** The agent's table of connections: full, it drops every new one. */
import { type Finding, problem } from "../finding.ts";
import type { Scene } from "../scene.ts";

/** From this part on, new connections are dropped sooner or later. */
const NEARLY_FULL = 0.97;

export function probeConntrack({ host }: Scene): Finding[] {
  const count = Number(host.setting("netfilter/nf_conntrack_count") ?? 0);
  const most = Number(host.setting("netfilter/nf_conntrack_max") ?? 0);
  if (most === 0 || count < most * NEARLY_FULL) return [];
  return [problem(
    "conntrack_full",
    ["conntrack", "agent"],
    "the agent's connection tracking table is full: new connections are dropped",
    [`net.netfilter.nf_conntrack_count is ${count}, its maximum (nf_conntrack_max) ${most}`],
    "find who opens so many (conntrack -L), or raise net.netfilter.nf_conntrack_max",
  )];
}
