/** Which readers may explain a loss at the place where the packet was last seen. */
import type { Case, Reader } from "../case.ts";
import { type Finding, type Place, problem, shellText } from "../finding.ts";
import type { Leg } from "../journey.ts";
import type { RuleMet } from "../observe/trace.ts";
import type { Trail } from "../place.ts";
import type { Question } from "../questions/question.ts";
import { probeAddresses } from "./address.ts";
import { agedReasons, bridgeNatReasons, rewrittenReasons, sourceTranslated } from "./altered.ts";
import { bridgeReasons, hooks } from "./between.ts";
import { untrackedReasons } from "./conntrack.ts";
import { farReasons } from "./far.ts";
import { forwardingReasons } from "./forwarding.ts";
import { hardwareReasons } from "./hardware.ts";
import { wrongAnswers } from "./neighbour.ts";
import { outsideReasons } from "./outside.ts";
import { agentRouteReasons, refusedByMark, routeReasons, wrongSource } from "./route_of.ts";
import { flowOf } from "./policy.ts";
import type { RuleText } from "./rule_text.ts";
import { probeWayBack } from "./way_back.ts";
import { neighbourReasons } from "./wire.ts";

/** Tries the readers of the place, nearest first, until one explains it. */
export async function placeReasons(one: Case): Promise<Finding[]> {
  const readers: Reader[] = [
    sourceReasons,
    rewrittenReasons,
    bridgeNatReasons,
    hardwareReasons,
    sourceTranslated,
    agedReasons,
    untrackedReasons,
    neighbourReasons,
    ...gapReaders(one.trail),
  ];
  for (const reader of readers) {
    const found = (await reader(one)).filter(({ level }) => level === "problem");
    if (found.length > 0) return found;
  }
  return [];
}

function gapReaders({ before, after, journey }: Trail): Reader[] {
  const at = (leg: Leg | undefined, place: Place) => leg?.stop.place === place;
  const readers: Reader[] = [];
  if (!before) {
    readers.push(journey.from === "container" ? containerRoutes : agentRoutes);
  }
  if (
    at(after, "host-veth") || at(after, "bridge") || at(before, "host-veth") || at(before, "bridge")
  ) {
    readers.push(bridgeReasons);
  }
  readers.push(hooks);
  if (
    before?.direction === "in" &&
    (at(before, "bridge") || at(before, "host-veth") || at(before, "uplink"))
  ) {
    readers.push(agentRoutes);
  }
  if (before && after && before.way === "there" && after.way === "back") {
    readers.push(before.stop.place === "uplink" ? outsideReasons : receiver);
  }
  if (before?.direction === "in" && at(before, "container")) readers.push(containerRoutes);
  if (!after && before) readers.push(receiver);
  return readers;
}

/** A packet that leaves the container from an address that is not its own there. */
function sourceReasons({ scene, trail, question }: Case): Finding[] {
  const first = trail.seen.find((one) => one !== undefined);
  if (
    !first || trail.journey.from !== "container" ||
    first.at !== trail.journey.legs[0]!.stop.point.name
  ) return [];
  const given = scene.interfaces.flatMap(({ expected }) => expected).filter(({ family }) =>
    family === question.family
  )
    .map(({ address }) => address);
  const { source } = first.packet;
  if (given.length === 0 || given.includes(source) || source.startsWith("fe80:")) return [];
  const attached = scene.interfaces.find(({ link }) =>
    link?.index === trail.journey.legs[0]!.stop.link.index
  );
  return wrongSource(scene, source, attached, question.destination);
}

/** A rule that leads a mapped port to somebody else. */
export async function translationReasons(
  { question, met, texts, trail, session, token }: Case,
): Promise<Finding[]> {
  const isTranslated = session.of(token).some(({ packet }) =>
    packet.destination === question.realDestination
  );
  const prerouting = met.filter(({ kind, netns, jump }) =>
    kind === "rule" && netns === undefined && jump === undefined
  );
  for (const one of prerouting) {
    const text = await texts.of(one);
    if (!/\b(dnat|redirect|DNAT|REDIRECT|tproxy|TPROXY)\b/.test(text.text)) {
      const isPassed = question.topic === "port" && one.table === "nat" && !isTranslated &&
        (one.verdict === "return" || one.verdict === "accept");
      if (isPassed && text.mechanism === "iptables") return [passedBy(one, text, question)];
      continue;
    }
    const isOurs = question.realDestination !== undefined &&
      text.text.includes(question.realDestination);
    if (isOurs || one.table === "mesos-cni") return [];
    const mechanism = question.topic === "port"
      ? "portmap"
      : question.topic === "agent"
      ? "agent"
      : text.mechanism;
    return [problem(
      "port_taken_by_rule",
      [mechanism, "agent"],
      `a rule of ${text.program} ${one.table} ${one.chain} leads what is for ${question.destination} port ${question.port}/${question.protocol} elsewhere: ${text.text}`,
      [
        `the kernel's trace: ${one.family} ${one.table} ${one.chain} rule handle ${one.handle}`,
        ...trail.last < 0 ? [] : [
          `it should lead to ${question.realDestination ?? question.destination} port ${
            question.realPort ?? question.port
          }`,
        ],
      ],
      text.remove
        ? `if it is not meant so, delete it: ${shellText(text.remove)}`
        : "look at that rule",
      text.remove && { what: "delete that rule", commands: [text.remove] },
    )];
  }
  return [];
}

/** A rule that lets a packet go by before the one that leads it to the container. */
function passedBy(
  { family, table, chain, handle, verdict }: RuleMet,
  { program, text, remove }: RuleText,
  { port, protocol, realDestination, realPort }: Question,
): Finding {
  return problem(
    "port_passed_by",
    ["portmap", "agent"],
    `a rule of ${program} ${table} ${chain} takes port ${port}/${protocol} out before the rule that leads it to ${realDestination} port ${realPort}: ${text}`,
    [`the kernel's trace: ${family} ${table} ${chain} rule handle ${handle} (verdict ${verdict})`],
    remove ? `if it is not meant so, delete it: ${shellText(remove)}` : "look at that rule",
    remove && { what: "delete that rule", commands: [remove] },
  );
}

/** The container's own routes, rules and answers. */
function containerRoutes({ scene, question, answer, trail, token }: Case): Finding[] {
  const target = trail.before
    ? trail.seen[trail.last]?.packet.source ?? question.destination
    : question.destination;
  const flow = flowOf(question, token, trail.before !== undefined);
  return routeReasons(scene, target, question.family, answer.detail, flow);
}

function agentRoutes(one: Case): Finding[] {
  const { scene, question, trail, token } = one;
  const input = trail.before?.direction === "in" ? trail.before.stop.link.name : undefined;
  const forwards = trail.journey.to !== "agent" && trail.journey.from !== "agent";
  return [
    ...refusedByMark(one),
    ...forwards ? forwardingReasons(scene, question.family, input) : [],
    ...agentRouteReasons(scene, question, trail, token),
    ...trail.before?.way === "back" || trail.journey.to === "container" ? probeWayBack(scene) : [],
  ].slice(0, 1);
}

/** The packet has arrived at who must answer, and no answer leaves. */
async function receiver(one: Case): Promise<Finding[]> {
  const { scene, question, answer, trail, token } = one;
  if (trail.journey.to === "agent") {
    const back = agentRouteReasons(scene, question, trail, token, true);
    if (back.length > 0) return back;
  }
  if (trail.journey.to === "neighbour") {
    const theirs = await farReasons(one);
    if (theirs.length > 0) return theirs;
  }
  const wrong = await wrongAnswers(scene);
  if (wrong.length > 0) return wrong;
  const lost = (await probeAddresses(scene)).filter(({ level }) => level === "problem");
  const duplicate = lost.filter(({ mechanism }) => mechanism === "duplicate");
  if (duplicate.length > 0) return duplicate;
  if (lost.length > 0 && trail.journey.to === "container") return lost;
  if (trail.journey.to === "container" || trail.before?.stop.place === "container") {
    const target = trail.seen[trail.last]?.packet;
    const back = target &&
      routeReasons(
        scene,
        trail.before?.direction === "in" ? target.source : question.destination,
        question.family,
        answer.detail,
        flowOf(question, token, trail.before?.direction === "in"),
      );
    if (back && back.length > 0) return back;
  }
  return [];
}
