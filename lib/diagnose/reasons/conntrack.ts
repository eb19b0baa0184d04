/** The agent's table of connections: full, or without the one that an answer belongs to. */
import type { Case } from "../case.ts";
import { type Finding, problem, shellText } from "../finding.ts";
import { UNTRANSLATED } from "../questions/question.ts";
import { alteringFinding, alteringRule } from "./altered.ts";
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

/** What forgets a connection sooner than an answer comes, in s. */
const SHORT_TIMEOUT = 2;
const TIMEOUTS = {
  udp: ["udp_timeout", "udp_timeout_stream"],
  icmp: ["icmp_timeout", "icmpv6_timeout"],
  tcp: ["tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_established"],
} as const;

/** Rules that keep a packet out of tracking, or put it into a zone of its own. */
export const UNTRACKING = /-j (CT|NOTRACK)\b|\bnotrack\b|\bct zone set\b/;

/**
 * An answer that has come back to the agent and is translated no more, or a packet for a mapped port
 * that is not translated: its connection was never tracked, is tracked elsewhere (zones), or is
 * forgotten.
 */
export async function untrackedReasons(one: Case): Promise<Finding[]> {
  const { scene, question, trail, session, token } = one;
  const { before } = trail;
  const last = trail.seen[trail.last];
  const isIn = before?.direction === "in" && before.stop.place === "uplink" && last !== undefined &&
    scene.host.ownerOf(last.packet.destination) !== undefined;
  const isBack = isIn && before.way === "back";
  // A port that nothing translates is answered by the agent itself.
  const isUntranslated = one.answer.detail.startsWith(UNTRANSLATED);
  const isPort = isUntranslated || question.topic === "port" && trail.journey.from === "outside" &&
      !session.of(token).some(({ packet }) => packet.destination === question.realDestination);
  if (!isBack && !isPort) return [];
  const evidence = [
    isBack
      ? `the answer to ${last.packet.destination} was seen arriving on ${before.stop.point.name}, and not led on to who asked`
      : isUntranslated
      ? one.answer.detail
      : `a packet for port ${question.port} came in, and was not led to ${question.realDestination}`,
    ...session.drops(token).slice(0, 2).map(({ reason, device }) =>
      `the kernel dropped it on ${device}: ${reason}`
    ),
  ];
  const rule = await alteringRule(one, UNTRACKING);
  if (rule) {
    return [alteringFinding(
      /zone/.test(rule.text) ? "ct_zone" : "notrack",
      rule,
      "changes how connections are tracked, and so keeps this one out of NAT",
      evidence,
    )];
  }
  if (!isBack) return [];
  const short = TIMEOUTS[question.protocol].map((name) => `netfilter/nf_conntrack_${name}`).filter((
    name,
  ) => Number(scene.host.setting(name) ?? SHORT_TIMEOUT) < SHORT_TIMEOUT);
  if (short.length > 0) {
    const usual = { udp: 30, icmp: 30, tcp: 120 }[question.protocol];
    const keys = short.map((name) => `net.${name.replaceAll("/", ".")}`);
    const command = ["sysctl", "-w", ...keys.map((key) => `${key}=${usual}`)];
    return [problem(
      "conntrack_timeout",
      ["conntrack", "agent"],
      `connections are forgotten before an answer comes: ${
        short.map((name, i) => `${keys[i]} is ${scene.host.setting(name)} s`).join(", ")
      }`,
      evidence,
      shellText(command),
      { what: `remember connections for ${usual} s`, commands: [command] },
    )];
  }
  return [];
}
