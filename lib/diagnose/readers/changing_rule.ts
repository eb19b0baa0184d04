/** Rules that do not drop a packet, and change it or how it is tracked so that it gets lost. */
import {
  type Cause,
  cause,
  type Mechanism,
  type Proof,
  RECOVER,
  removing,
  settingCause,
  type Values,
} from "../../facts/cause.ts";
import { forgetful } from "../../facts/readers/limits.ts";
import type { Evidence } from "../evidence.ts";
import { isRefusal } from "../failure.ts";
import { trailAt } from "../place.ts";
import type { KnownRule, RuleAct } from "../observe/rules.ts";
import type { RuleMet } from "../observe/trace.ts";
import { grownLegacy } from "./agent_firewall.ts";
import { type Reader, ruleCause } from "./reader.ts";

/** The first rule of the agent that the packet met and that does one of these things. */
export async function ruleThat(e: Evidence, ...acts: RuleAct[]): Promise<KnownRule | undefined> {
  const met = ofAgent(e.rules).find((one) => e.actsOf(one).some((act) => acts.includes(act)));
  if (met) return await e.ruleOf(met);
  // Those of iptables-legacy are not traced, but they count.
  return grownLegacy(e).find(({ netns, rule }) =>
    netns === undefined && rule.acts.some((act) => acts.includes(act))
  )?.rule;
}

export function ofAgent(rules: readonly RuleMet[]): RuleMet[] {
  return rules.filter(({ kind, netns }) => kind === "rule" && netns === undefined);
}

const leadsElsewhere = (act: RuleAct) => act === "dnat" || act === "redirect";

/** ICMP's type "time exceeded", of IPv4 and of IPv6. */
const TIME_EXCEEDED = { 4: 11, 6: 3 } as const;
/** Where the kernel forwards. */
const FORWARDS = ["ip_forward", "ip6_forward"];
/** Fewer routers are between the ends of no connection. */
const LEAST_TTL = 8;

/** A rule does it, or what the container gives its packets at the start. */
export const agingRule: Reader = async (e) => {
  const { sightings, drops, scene: { inside, name: container }, question: { family }, trail } = e;
  const isTooOld =
    sightings.some(({ packet }) =>
      packet.protocol === "icmp error" && packet.flags === TIME_EXCEEDED[family]
    ) || drops.some(({ location, reason }) =>
      FORWARDS.includes(location ?? "") && reason !== "PKT_TOO_BIG"
    );
  if (!isTooOld) return [];
  const rule = await ruleThat(e, "ttl");
  const seen = ["the kernel dropped it where it forwards, as one whose time to live is over"];
  if (rule) return [ruleCause("rule_ttl", rule, seen)];
  const own = trail.journey.legs.find(({ stop }) => stop.place === "container")?.stop.link.name;
  const path = family === 4 ? "ipv4/ip_default_ttl" : `ipv6/conf/${own}/hop_limit`;
  return Number(inside.setting(path) ?? LEAST_TTL) >= LEAST_TTL ? [] : [
    settingCause("ttl_too_small", "container", inside, [path, 64], { container, family }, seen),
  ];
};

/** Frames that a rule of the bridge gives another hardware address. */
export const bridgeNat: Reader = async (e) => {
  if (!e.trail.after) return [];
  const met = e.rules.find((one) =>
    one.family === "bridge" && one.table === "nat" && one.kind === "rule" &&
    one.verdict !== "drop" && e.actsOf(one).some((act) => act === "snat" || leadsElsewhere(act))
  );
  if (!met) return [];
  const rule = await e.ruleOf(met);
  const seen = [{ rule: rule.ref, verdict: met.verdict }];
  return [ruleCause("bridge_nat", rule, seen, {}, { place: "bridge" })];
};

/** A rule gives a packet a source that is nobody's of this agent, so that its answer goes astray. */
export async function wrongSnat(
  e: Evidence,
  mechanism: Mechanism,
  about: Values,
  seen: string,
): Promise<Cause[]> {
  const rule = await ruleThat(e, "snat");
  const values = { ...about, rule: rule?.ref };
  const fix = rule?.remove && removing(rule.ref.text, rule.remove);
  return [cause("wrong_snat", [mechanism, "agent"], values, [seen], fix)];
}

/** A packet for a mapped port that reaches the container from an address which nobody answers. */
export const wrongSourceOfPort: Reader = async (e) => {
  const { question, trail, scene, sightings } = e;
  if (question.topic !== "port" || trail.journey.to !== "container") return [];
  const end = trail.journey.legs.findLast(({ way }) => way === "there")?.stop.name;
  const arrived = sightings.find(({ packet, at }) =>
    packet.destination === question.realDestination && at === end
  );
  const sent = trail.seen[0]?.packet.source;
  const address = arrived?.packet.source;
  if (!address || sent === undefined || address === sent || scene.host.ownerOf(address)) {
    return [];
  }
  const seen = `sent from ${sent}, it was seen arriving on ${arrived!.at} from ${address}`;
  return await wrongSnat(e, "portmap", { container: scene.name, address }, seen);
};

/** What a rule that translates sources is for; or, of others met before, that they mark what it is for. */
const FOR_SOME =
  / (?:-[sd]|--[sd]?ports?|--mark|--ct[a-z]+|--match-set)|[sd]addr|[sd]port|mark|\bct /;
const MARKS = / -j (?:CONN)?MARK |mark set /;

/** A rule that gives what comes from outside the agent's own source, and neither names what for, nor is needed. */
export const hiddenClient: Reader = async (e) => {
  const { question, failure, scene: { inside, name: container, host }, trail: { journey } } = e;
  if (failure.kind !== "hidden") return [];
  const eth = journey.legs.findLast(({ way }) => way === "there")!.stop.link;
  const { address } = failure;
  const asked = `${question.stranger}`;
  const rule = await ruleThat(e, "snat");
  const others = await Promise.all(ofAgent(e.rules).map(async (one) => (await e.ruleOf(one)).ref));
  // Whose answers would leave by another interface or router answers who is next to it alone.
  const { link, route } = inside.wayTo(asked);
  const isNeeded = link?.index !== eth.index || !host.ownerOf(route?.gateway ?? address);
  const isMeant = isNeeded || others.some(({ text }) => MARKS.test(text)) ||
    !host.ownerOf(address);
  if (!rule || isMeant || FOR_SOME.test(rule.ref.text.replace(/"[^"]*"/g, ""))) return [];
  const seen = `sent from ${asked}, it was seen arriving on ${eth.name} from ${address}`;
  const about = { container, address };
  return [ruleCause("client_hidden", rule, [seen], about, { mechanism: "masquerade" })];
};

/** A packet whose addresses or ports a rule writes anew, which no connection tracking undoes. */
export const rewritingRule: Reader = async (e) => {
  const isAway = isLedAway(e);
  if (!isAway && e.question.protocol !== "icmp") return [];
  const rule = await ruleThat(e, "rewrite");
  const seen = isAway
    ? "it was seen with another destination than it was sent to"
    : "the kernel's trace has the packet meet it";
  return rule ? [ruleCause("rule_rewrites", rule, [seen])] : [];
};

/** It was seen with another destination than it was sent to and should be led to. */
function isLedAway({ question, sightings, token }: Evidence): boolean {
  const wanted = [question.destination, question.realDestination];
  return sightings.some(({ packet }) =>
    packet.protocol !== "icmp error" && packet.sourcePort === token &&
    !wanted.includes(packet.destination)
  );
}

/** A rule of the container's own that leads what it sends, or what comes, to somebody in it, such as a sidecar's. */
export const ownTranslation: Reader = async (e) => {
  const { scene: { inside, name: container }, question, trail: { journey, last }, failure } = e;
  const comes = journey.to === "container";
  if (!(comes ? isRefusal(failure) : last < 0 && journey.from === "container")) return [];
  const { destination: address, realPort, protocol } = question;
  const met = e.rules.find((one) =>
    one.netns === inside.netns && e.actsOf(one).some(leadsElsewhere)
  );
  if (!met) return [];
  const rule = await e.ruleOf(met);
  const seen = [
    { rule: rule.ref, verdict: met.verdict },
    comes ? "the container refuses what comes" : "it never left the container",
  ];
  const values = comes
    ? { container, port: `${realPort}/${protocol}`, why: "what comes" }
    : { container, address, port: portOf(e) };
  return [ruleCause("port_taken_by_rule", rule, seen, values, { place: "container" })];
};

/** A rule that leads a mapped port to somebody else, or takes it out before it is led anywhere. */
export const translation: Reader = async (e) => {
  const { question, sightings, scene } = e;
  const { realDestination } = question;
  const isTranslated = sightings.some(({ packet }) => packet.destination === realDestination);
  // What a bridge's own table changes of a frame leads no port anywhere.
  const met = ofAgent(e.rules).filter(({ jump, family }) =>
    jump === undefined && family !== "bridge"
  );
  for (const one of met) {
    if (!e.actsOf(one).some(leadsElsewhere)) {
      const isPassed = question.topic === "port" && one.table === "nat" && !isTranslated &&
        (one.verdict === "return" || one.verdict === "accept");
      const rule = isPassed ? await e.ruleOf(one) : undefined;
      if (rule?.mechanism !== "iptables") continue;
      const seen = [{ rule: rule.ref, verdict: one.verdict }];
      const about = { port: portOf(e), address: realDestination };
      return [ruleCause("port_passed_by", rule, seen, about, { mechanism: "portmap" })];
    }
    if (one.table === "mesos-cni") {
      const { address, port } = elementOf(e) ?? {};
      const { realPort } = question;
      const isRight = address === realDestination && port === realPort;
      if (address === undefined || realDestination === undefined || isRight) return [];
      const values = { container: scene.name, address, value: `${port}`, wanted: `${realPort}` };
      return [
        cause("dnat_elsewhere", ["portmap", "agent"], { ...values, port: portOf(e) }, [
          `the table mesos-cni has it lead to ${address} port ${port}`,
        ], RECOVER),
      ];
    }
    const rule = await e.ruleOf(one);
    const isOurs = realDestination !== undefined && rule.mentions?.(realDestination);
    const isOtherPort = sightings.some(({ packet }) =>
      packet.destination === realDestination && packet.protocol === question.protocol &&
      packet.destinationPort !== question.realPort && packet.sourcePort === e.token
    );
    return isOurs && !isOtherPort
      ? []
      : [takenBy(e, rule, { rule: rule.ref, verdict: one.verdict })];
  }
  const legacy = question.topic === "port" ? await ruleThat(e, "dnat", "redirect") : undefined;
  return legacy?.mechanism === "iptables-legacy" && !legacy.mentions!(`${realDestination}`)
    ? [takenBy(e, legacy, "its counter grew while the packet was lost")]
    : [];
};

/** Where the table of the port mapper leads a port: one rule, which names no port, is for all. */
function elementOf({ kernel, question }: Evidence) {
  const { family, protocol, port, destination } = question;
  // Those of one address come later, and count first.
  return kernel.tablePorts().findLast((one) =>
    !one.by && one.family === family && one.protocol === protocol && one.hostPort === port &&
    [undefined, destination].includes(one.hostAddress)
  )?.to;
}

function takenBy(e: Evidence, rule: KnownRule, proof: Proof): Cause {
  const { topic, destination: address, realDestination, port, realPort } = e.question;
  const mechanism = topic === "port" ? "portmap" : topic === "agent" ? "agent" : rule.mechanism;
  const wanted = `it should lead to ${realDestination ?? address} port ${realPort ?? port}`;
  const values = { address, port: portOf(e) };
  return ruleCause("port_taken_by_rule", rule, [proof, wanted], values, { mechanism });
}

export function portOf({ question: { port, protocol } }: Pick<Evidence, "question">): string {
  return `${port}/${protocol}`;
}

/**
 * An answer that has come back to the agent and is translated no more, or a packet for a mapped port
 * that is not translated: its connection was never tracked, is tracked elsewhere (zones), or is
 * forgotten.
 */
export const untracked: Reader = async (e) => {
  const isLost = isLostAnswer(e);
  if (!isLost && !isUntranslated(e)) return [];
  const { question: { protocol, port }, drops, scene: { host }, trail } = e;
  const seen = [
    isLost
      ? `the answer was seen arriving on ${trail.before!.stop.name}, and not led on to who asked`
      : `a packet for port ${port} or its answer was not translated`,
    ...drops.slice(0, 2).map(({ reason, device }) => ({ drop: reason, device })),
  ];
  const found = await untrackingCauses(e, seen);
  if (found.length > 0 || !isLost) return found;
  return forgetful(host, protocol).map((one) => ({ ...one, seen: [...one.seen, ...seen] }));
};

/** A rule that keeps the packet out of the tracking by which it would be translated. */
export async function untrackingCauses(e: Evidence, seen: readonly Proof[]): Promise<Cause[]> {
  const rule = await ruleThat(e, "notrack", "zone");
  if (!rule) return [];
  return [ruleCause(rule.acts.includes("zone") ? "ct_zone" : "notrack", rule, seen)];
}

function isLostAnswer({ trail, scene }: Evidence): boolean {
  const { before, sighting } = trail;
  return before?.way === "back" && before.direction === "in" && before.stop.place === "uplink" &&
    sighting !== undefined && scene.host.ownerOf(sighting.packet.destination) !== undefined;
}

/** A port that nothing translates is answered by the agent itself. */
function isUntranslated({ failure, question, trail, sightings }: Evidence): boolean {
  return failure.kind === "untranslated" ||
    question.topic === "port" && trail.journey.from === "outside" &&
      !sightings.some(({ packet }) => packet.destination === question.realDestination);
}

/**
 * Behind a rule that gives it a random source port, a packet is not recognised any more. Nothing
 * comes after that rule but the link itself, so there it has left.
 */
export async function beyondRandomPort(e: Evidence): Promise<Evidence> {
  const { trail: { after, before, journey, sighting, last, seen }, scene, question } = e;
  const isAtUplink = after?.way === "there" && after.direction === "out" &&
    after.stop.place === "uplink" && before?.way === "there";
  if (!isAtUplink || !sighting || !await ruleThat(e, "random")) return e;
  const { packet } = sighting;
  const source = scene.uplink(question.family)?.agentAddress ?? packet.source;
  const left = { ...sighting, packet: { ...packet, source }, to: undefined };
  const inferred = last + 1;
  const at = { ...left, at: after.stop.name, direction: "out" } as const;
  return { ...e, trail: { ...trailAt(journey, seen.with(inferred, at)), inferred } };
}
