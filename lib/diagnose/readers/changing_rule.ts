/** Rules that do not drop a packet, and change it or how it is tracked so that it gets lost. */
import { type Cause, cause, inNetns, type Proof, removing, run } from "../../facts/cause.ts";
import type { Code } from "../../facts/words.ts";
import { sysctlName } from "../../facts/readers/agent.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { MAPPERS } from "../../facts/readers/ports.ts";
import { pluginOf } from "../../facts/scene.ts";
import type { Evidence } from "../evidence.ts";
import type { KnownRule, RuleAct } from "../observe/rules.ts";
import type { RuleMet } from "../observe/trace.ts";
import { grownLegacy } from "./legacy.ts";
import { always, type Reader } from "./reader.ts";

/** The first rule of the agent that the packet met and that does one of these things. */
export async function ruleThat(e: Evidence, ...acts: RuleAct[]): Promise<KnownRule | undefined> {
  const met = ofAgent(e.rules).find((one) => e.actsOf(one).some((act) => acts.includes(act)));
  if (met) return await e.ruleOf(met);
  // Those of iptables-legacy are not traced, but they count.
  const legacy = grownLegacy(e).find((one) =>
    one.netns === undefined && one.acts.some((act) => acts.includes(act))
  );
  if (!legacy) return undefined;
  const { rule, words, acts: its } = legacy;
  const remove = [rule.program, "-w", "-t", rule.table, "-D", ...words.slice(1)];
  return { ref: rule, mechanism: "iptables-legacy", acts: its, remove };
}

export function ofAgent(rules: readonly RuleMet[]): RuleMet[] {
  return rules.filter(({ kind, netns }) => kind === "rule" && netns === undefined);
}

export function ruleCause(
  code: Code,
  { ref, mechanism, remove }: KnownRule,
  seen: readonly Proof[],
  about: Partial<Cause> = {},
): Cause {
  return {
    ...cause(
      code,
      [about.mechanism ?? mechanism, about.place ?? "agent"],
      { rule: ref },
      seen,
      remove && removing(ref.text, remove),
    ),
    ...about,
  };
}

/** ICMP's type "time exceeded", of IPv4 and of IPv6. */
const TIME_EXCEEDED = { 4: 11, 6: 3 } as const;
/** Where the kernel forwards. */
const FORWARDS = ["ip_forward", "ip6_forward"];

export const agingRule: Reader = {
  name: "what makes it too old to be forwarded",
  applies: ({ sightings, drops, question }) =>
    sightings.some(({ packet }) =>
      packet.protocol === "icmp error" && packet.flags === TIME_EXCEEDED[question.family]
    ) ||
    drops.some(({ location, reason }) =>
      FORWARDS.includes(location ?? "") && reason !== "PKT_TOO_BIG"
    ),
  async read(e) {
    const rule = await ruleThat(e, "ttl");
    return rule
      ? [ruleCause("rule_ttl", rule, [
        "the kernel dropped it where it forwards, as one whose time to live is over",
      ])]
      : shortLife(e);
  },
};

/** Fewer routers are between the ends of no connection. */
const LEAST_TTL = 8;

/** What the container gives its packets at the start. */
function shortLife(
  { scene: { inside, name: container }, question: { family }, trail }: Evidence,
): Cause[] {
  const device = trail.journey.legs.find(({ stop }) => stop.place === "container")?.stop.link.name;
  const path = family === 4 ? "ipv4/ip_default_ttl" : `ipv6/conf/${device}/hop_limit`;
  const value = inside.setting(path);
  if (value === undefined || Number(value) >= LEAST_TTL) return [];
  const setting = sysctlName(path);
  return [cause(
    "ttl_too_small",
    ["sysctl", "container"],
    { container, family, setting, value },
    [{ setting, value }],
    run(inNetns(inside.netns, "sysctl", "-w", `${setting}=64`)),
  )];
}

/** Frames that a rule of the bridge gives another hardware address. */
export const bridgeNat: Reader = {
  name: "a rule of the bridge that gives frames another hardware address",
  applies: ({ trail, rules }) => trail.after !== undefined && rules.some(isBridgeNat),
  async read(e) {
    for (const met of e.rules.filter(isBridgeNat)) {
      const acts = e.actsOf(met);
      if (!acts.some((act) => act === "dnat" || act === "snat" || act === "redirect")) continue;
      const rule = await e.ruleOf(met);
      const seen = [{ rule: rule.ref, verdict: met.verdict }];
      return [ruleCause("bridge_nat", rule, seen, { place: "bridge" })];
    }
    return [];
  },
};

function isBridgeNat({ family, table, kind, verdict }: RuleMet): boolean {
  return family === "bridge" && table === "nat" && kind === "rule" && verdict !== "drop";
}

/** A packet for a mapped port that reaches the container from an address which nobody answers. */
export const wrongSourceOfPort: Reader = {
  name: "a rule that gives connections from outside a source of nobody",
  applies: ({ question, trail }) => question.topic === "port" && trail.journey.to === "container",
  async read(e) {
    const { question, trail, scene, sightings } = e;
    const end = trail.journey.legs.findLast(({ way }) => way === "there")?.stop.point.name;
    const arrived = sightings.find(({ packet, at }) =>
      packet.destination === question.realDestination && at === end
    );
    const sent = trail.seen[0]?.packet.source;
    const source = arrived?.packet.source;
    if (!arrived || sent === undefined || source === sent || scene.host.ownerOf(source!)) return [];
    const rule = await ruleThat(e, "snat");
    return [cause(
      "wrong_snat",
      ["portmap", "agent"],
      { container: scene.name, address: source, rule: rule?.ref },
      [`sent from ${sent}, it was seen arriving on ${arrived.at} from ${source}`],
      rule?.remove && removing(rule.ref.text, rule.remove),
    )];
  },
};

/** A packet whose addresses or ports a rule writes anew, which no connection tracking undoes. */
export const rewritingRule: Reader = {
  name: "a rule that writes the packet anew",
  applies: (e) => isStrange(e) || e.question.protocol === "icmp",
  async read(e) {
    const rule = await ruleThat(e, "rewrite");
    return rule
      ? [ruleCause("rule_rewrites", rule, [
        isStrange(e)
          ? "it was seen with another destination than it was sent to"
          : "the kernel's trace has the packet meet it",
      ])]
      : [];
  },
};

function isStrange({ question, sightings, token }: Evidence): boolean {
  const wanted = [question.destination, question.realDestination];
  return sightings.some(({ packet }) =>
    packet.protocol !== "icmp error" && packet.sourcePort === token &&
    !wanted.includes(packet.destination)
  );
}

/** A rule of the container's own that leads its packets to somebody in it, such as a sidecar's. */
export const ownTranslation: Reader = {
  name: "a rule of its own that leads it elsewhere",
  applies: ({ trail, rules, scene }) =>
    trail.last < 0 && trail.journey.from === "container" &&
    rules.some(({ netns }) => netns === scene.inside.netns),
  async read(e) {
    const { scene: { inside, name: container }, question } = e;
    const met = e.rules.find((one) =>
      one.netns === inside.netns &&
      e.actsOf(one).some((act) => act === "dnat" || act === "redirect")
    );
    if (!met) return [];
    const rule = await e.ruleOf(met);
    const seen = [{ rule: rule.ref, verdict: met.verdict }, "it never left the container"];
    return [ruleCause("port_taken_by_rule", rule, seen, {
      place: "container",
      container,
      address: question.destination,
      port: portOf(e),
    })];
  },
};

/** A port of the agent that is mapped, and led on for others than who asks. */
export const excludedAsker: Reader = {
  name: "a mapped port that is not led on for this container",
  applies: ({ question, scene }) =>
    question.topic === "followed" && question.protocol !== "icmp" &&
    scene.host.ownerOf(question.destination) !== undefined,
  read(e) {
    const { scene, question } = e;
    const asking = scene.attachedOf(question.family)?.ingress?.name;
    for (const { attachments, namespaceAlive } of scene.agent.containers) {
      const checkpoint = namespaceAlive
        ? attachments.find(({ portMappings }) =>
          portMappings.some((one) => `${one.hostPort}/${one.protocol}` === portOf(e))
        )
        : undefined;
      const mapper = pluginOf(checkpoint, ...MAPPERS);
      const excluded = Array.isArray(mapper?.excludeDevices) ? mapper.excludeDevices : [];
      if (asking === undefined || !excluded.includes(asking)) continue;
      return [cause("uplink_excluded", ["portmap", "agent"], {
        container: scene.name,
        network: checkpoint!.network,
        device: asking,
        port: portOf(e),
        address: networkAddresses(checkpoint!)[0]?.address,
      }, [`its rules pass by what comes in by ${excluded.join(", ")}`])];
    }
    return [];
  },
};

/** A rule that leads a mapped port to somebody else, or takes it out before it is led anywhere. */
export const translation: Reader = {
  name: "a rule that leads it elsewhere",
  applies: always,
  async read(e) {
    const { question, sightings } = e;
    const { realDestination } = question;
    const isTranslated = sightings.some(({ packet }) => packet.destination === realDestination);
    // What a bridge's own table changes of a frame leads no port anywhere.
    const met = ofAgent(e.rules).filter(({ jump, family }) =>
      jump === undefined && family !== "bridge"
    );
    for (const one of met) {
      if (!e.actsOf(one).some((act) => act === "dnat" || act === "redirect")) {
        const isPassed = question.topic === "port" && one.table === "nat" && !isTranslated &&
          (one.verdict === "return" || one.verdict === "accept");
        const rule = isPassed ? await e.ruleOf(one) : undefined;
        if (rule?.mechanism === "iptables") {
          return [ruleCause("port_passed_by", rule, [{ rule: rule.ref, verdict: one.verdict }], {
            mechanism: "portmap",
            port: portOf(e),
            address: realDestination,
          })];
        }
        continue;
      }
      const rule = await e.ruleOf(one);
      const isOurs = realDestination !== undefined && rule.mentions?.(realDestination);
      const isOtherPort = sightings.some(({ packet }) =>
        packet.destination === realDestination && packet.protocol === question.protocol &&
        packet.destinationPort !== question.realPort && packet.sourcePort === e.token
      );
      if (isOurs && !isOtherPort || one.table === "mesos-cni") return [];
      return [takenBy(e, rule, { rule: rule.ref, verdict: one.verdict })];
    }
    const legacy = question.topic === "port" ? await ruleThat(e, "dnat", "redirect") : undefined;
    return legacy?.mechanism === "iptables-legacy" &&
        !legacy.ref.text.includes(`${realDestination}`)
      ? [takenBy(e, legacy, "its counter grew while the packet was lost")]
      : [];
  },
};

function takenBy(e: Evidence, rule: KnownRule, proof: Proof): Cause {
  const { topic, destination, realDestination, port, realPort } = e.question;
  const mechanism = topic === "port" ? "portmap" : topic === "agent" ? "agent" : rule.mechanism;
  const wanted = `it should lead to ${realDestination ?? destination} port ${realPort ?? port}`;
  return ruleCause("port_taken_by_rule", rule, [proof, wanted], {
    mechanism,
    address: destination,
    port: portOf(e),
  });
}

export function portOf({ question: { port, protocol } }: Pick<Evidence, "question">): string {
  return `${port}/${protocol}`;
}

/** What forgets a connection sooner than an answer comes, in s. */
const SHORT_TIMEOUT = 2;
const USUAL_TIMEOUT = { udp: 30, icmp: 30, tcp: 120 } as const;
const TIMEOUTS = {
  udp: ["udp_timeout", "udp_timeout_stream"],
  icmp: ["icmp_timeout", "icmpv6_timeout"],
  tcp: ["tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_established"],
} as const;

/**
 * An answer that has come back to the agent and is translated no more, or a packet for a mapped port
 * that is not translated: its connection was never tracked, is tracked elsewhere (zones), or is
 * forgotten.
 */
export const untracked: Reader = {
  name: "what keeps it out of connection tracking",
  applies: (e) => isLostAnswer(e) || isUntranslated(e),
  async read(e) {
    const { question, drops, scene } = e;
    const seen = [
      isLostAnswer(e)
        ? `the answer was seen arriving on ${
          e.trail.before!.stop.point.name
        }, and not led on to who asked`
        : `a packet for port ${question.port} or its answer was not translated`,
      ...drops.slice(0, 2).map(({ reason, device }) => ({ drop: reason, device })),
    ];
    const rule = await ruleThat(e, "notrack", "zone");
    if (rule) return [untrackingCause(rule, seen)];
    if (!isLostAnswer(e)) return [];
    const short = TIMEOUTS[question.protocol].map((name) => `netfilter/nf_conntrack_${name}`)
      .filter((name) => Number(scene.host.setting(name) ?? SHORT_TIMEOUT) < SHORT_TIMEOUT);
    if (short.length === 0) return [];
    const usual = USUAL_TIMEOUT[question.protocol];
    return [cause(
      "conntrack_timeout",
      ["conntrack", "agent"],
      {
        setting: sysctlName(short[0]!),
        value: short.map((name) => `${sysctlName(name)} is ${scene.host.setting(name)} s`)
          .join(", "),
      },
      seen,
      run(["sysctl", "-w", ...short.map((name) => `${sysctlName(name)}=${usual}`)]),
    )];
  },
};

export function untrackingCause(rule: KnownRule, seen: readonly Proof[]): Cause {
  return ruleCause(rule.acts.includes("zone") ? "ct_zone" : "notrack", rule, seen);
}

function isLostAnswer({ trail, scene }: Evidence): boolean {
  const { before, seen, last } = trail;
  const packet = seen[last]?.packet;
  return before?.way === "back" && before.direction === "in" && before.stop.place === "uplink" &&
    packet !== undefined && scene.host.ownerOf(packet.destination) !== undefined;
}

/** A port that nothing translates is answered by the agent itself. */
function isUntranslated({ failure, question, trail, sightings }: Evidence): boolean {
  return failure.kind === "untranslated" ||
    question.topic === "port" && trail.journey.from === "outside" &&
      !sightings.some(({ packet }) => packet.destination === question.realDestination);
}
