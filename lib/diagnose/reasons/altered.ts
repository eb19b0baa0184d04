/** Rules that do not drop a packet, and change it or how it is tracked so that it gets lost. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, type Mechanism, problem, shellText } from "../finding.ts";
import { grownLegacy } from "./drops.ts";
import { words } from "./rule_text.ts";

/** A rule, whichever program keeps it. */
export interface Altering {
  mechanism: Mechanism;
  /** `iptables raw PREROUTING` */
  where: string;
  text: string;
  remove?: string[];
}

/** The first rule of the agent that the packet met and whose text fits. */
export async function alteringRule(
  { met, texts, session, question }: Case,
  wanted: RegExp,
): Promise<Altering | undefined> {
  for (const one of met.filter(({ kind, netns }) => kind === "rule" && netns === undefined)) {
    const { text, program, mechanism, remove } = await texts.of(one);
    if (wanted.test(text)) {
      return { mechanism, where: `${program} ${one.table} ${one.chain}`, text, remove };
    }
  }
  // Those of iptables-legacy are not traced, but they count.
  const legacy = grownLegacy(session.grown, question.family).find(({ rule, netns }) =>
    netns === undefined && wanted.test(rule)
  );
  if (!legacy) return undefined;
  const { program, table, rule } = legacy;
  return {
    mechanism: "iptables-legacy",
    where: `${program} ${table} ${rule.split(" ")[1]}`,
    text: rule,
    remove: inNetns(undefined, program, "-w", "-t", table, "-D", ...words(rule).slice(1)),
  };
}

export function alteringFinding(
  cause: string,
  { mechanism, where, text, remove }: Altering,
  effect: string,
  evidence: string[],
): Finding {
  return problem(
    cause,
    [mechanism, "agent"],
    `a rule of ${where} ${effect}: ${text}`,
    evidence,
    remove ? `if it is not meant so, delete it: ${shellText(remove)}` : "look at that rule",
    remove && { what: "delete that rule", commands: [remove] },
  );
}

/** ICMP's type "time exceeded", of IPv4 and of IPv6. */
const TIME_EXCEEDED = [11, 3];

/** A packet that is too old to be forwarded, by a rule that has made it so. */
export async function agedReasons(one: Case): Promise<Finding[]> {
  const { session, token, question } = one;
  const aged = session.of(token).some(({ packet }) =>
    packet.protocol === "icmp error" &&
    packet.flags === TIME_EXCEEDED[question.family === 4 ? 0 : 1]
  ) || session.drops(token).some(({ location, reason }) =>
    /^ip6?_forward$/.test(location ?? "") && reason !== "PKT_TOO_BIG"
  );
  if (!aged) return [];
  const rule = await alteringRule(one, /-j (TTL|HL) |\bip ttl set\b|\bip6 hoplimit set\b/);
  return rule
    ? [alteringFinding("rule_ttl", rule, "makes the packet too old to be forwarded", [
      "the kernel dropped it where it forwards, as one whose time to live is over",
    ])]
    : [];
}

/** Frames that a rule of the bridge gives another hardware address. */
export async function bridgeNatReasons(one: Case): Promise<Finding[]> {
  const rules = one.met.filter(({ family, table, kind, verdict }) =>
    family === "bridge" && table === "nat" && kind === "rule" && verdict !== "drop"
  );
  for (const rule of rules) {
    const { text, program, mechanism, remove } = await one.texts.of(rule);
    if (!/dnat|snat|redirect/i.test(text) || !one.trail.after) continue;
    return [{
      ...alteringFinding(
        "bridge_nat",
        { mechanism, where: `${program} ${rule.table} ${rule.chain}`, text, remove },
        "gives frames another hardware address",
        [`the kernel's trace: bridge ${rule.table} ${rule.chain} rule handle ${rule.handle}`],
      ),
      place: "bridge",
    }];
  }
  return [];
}

/** A packet for a mapped port that reaches the container from an address which nobody answers. */
export async function sourceTranslated(one: Case): Promise<Finding[]> {
  const { question, trail, scene, session, token } = one;
  if (question.topic !== "port" || trail.journey.to !== "container") return [];
  const arrived = session.of(token).find(({ packet, at }) =>
    packet.destination === question.realDestination &&
    at === trail.journey.legs.findLast(({ way }) => way === "there")?.stop.point.name
  );
  const sent = trail.seen[0]?.packet.source;
  const source = arrived?.packet.source;
  if (!arrived || sent === undefined || source === sent || scene.host.ownerOf(source!)) return [];
  const rule = await alteringRule(one, /-j (SNAT|NETMAP|MASQUERADE)|\bsnat\b|\bmasquerade\b/);
  const evidence = [`sent from ${sent}, it was seen arriving on ${arrived.at} from ${source}`];
  return [
    rule
      ? {
        ...alteringFinding(
          "wrong_snat",
          rule,
          `gives connections to ${scene.name} the source ${source}, which is no address of the agent`,
          evidence,
        ),
        mechanism: "portmap",
      }
      : problem(
        "wrong_snat",
        ["portmap", "agent"],
        `connections to ${scene.name} get the source ${source}, which is no address of the agent`,
        evidence,
        "correct the rule that translates them",
      ),
  ];
}

/** A packet whose addresses or ports a rule writes anew, which no connection tracking undoes. */
export async function rewrittenReasons(one: Case): Promise<Finding[]> {
  const { question, session, token } = one;
  const wanted = [question.destination, question.realDestination];
  const isStrange = session.of(token).some(({ packet }) =>
    packet.protocol !== "icmp error" && packet.sourcePort === token &&
    !wanted.includes(packet.destination)
  );
  if (!isStrange && question.protocol !== "icmp") return [];
  const rule = await alteringRule(
    one,
    /\b(ip6? [sd]addr|(tcp|udp|th) [sd]port|ether [sd]addr) set\b/,
  );
  return rule
    ? [alteringFinding("rule_rewrites", rule, "writes the packet anew", [
      isStrange
        ? "it was seen with another destination than it was sent to"
        : "the kernel's trace has the packet meet it",
    ])]
    : [];
}
