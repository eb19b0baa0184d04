/** Readers of what may explain a loss at the place where the packet was last seen. */
import { SystemError } from "../../kernel/libc.ts";
import { tcxPrograms } from "../../kernel/bpf.ts";
import { type Finding, inNetns, type Place, problem, shellText } from "../finding.ts";
import { journey as journeyOf, type Leg, type Stop } from "../journey.ts";
import type { Session } from "../observe/session.ts";
import type { Sighting } from "../observe/tap.ts";
import { outputIn } from "../observe/counters.ts";
import type { RuleMet } from "../observe/trace.ts";
import { answersFor } from "../packets/who_has.ts";
import type { Trail } from "../place.ts";
import { type Answer, NOBODY_ANSWERS, type Question } from "../questions/question.ts";
import type { Attached, Scene } from "../scene.ts";
import { portReasonsOfBridge } from "./bridge_port.ts";
import { bridgeOf, probeBridges } from "./bridge.ts";
import { forwardingReasons } from "./forwarding.ts";
import { interfaceReasons } from "./link.ts";
import { wrongAnswers } from "./neighbour.ts";
import { masqueradeReasons } from "./masquerade.ts";
import { agentRouteReasons, routeReasons, wrongSource } from "./route_of.ts";
import { probeWayBack } from "./way_back.ts";
import { missing, probeAddresses } from "./address.ts";
import type { RuleTexts } from "./rule_text.ts";

export interface Case {
  scene: Scene;
  question: Question;
  answer: Answer;
  trail: Trail;
  session: Session;
  token: number;
  met: readonly RuleMet[];
  texts: RuleTexts;
}

/** Tries the readers of the place, nearest first, until one explains it. */
export async function placeReasons(one: Case): Promise<Finding[]> {
  const readers: Reader[] = [
    sourceReasons,
    hardwareReasons,
    neighbourReasons,
    ...gapReaders(one.trail),
  ];
  for (const reader of readers) {
    const found = (await reader(one)).filter(({ level }) => level === "problem");
    if (found.length > 0) return found;
  }
  return [];
}

type Reader = (one: Case) => Promise<Finding[]> | Finding[];

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
    readers.push(before.stop.place === "uplink" ? outside : receiver);
  }
  if (before?.direction === "in" && at(before, "container")) readers.push(containerRoutes);
  if (!after && before) readers.push(receiver);
  return readers;
}

/** Links on the way that are down, gone, off their bridge, or without their address. */
export function linkReasons(
  { scene, trail, question }: Pick<Case, "scene" | "trail" | "question">,
): Finding[] {
  for (const attached of onTheWay(scene, trail)) {
    const found = [
      ...interfaceReasons(scene, attached),
      ...bridgeOf(scene, attached),
      ...missing(scene, attached).filter(({ text }) =>
        text.includes(":") === (question.family === 6)
      ),
    ];
    if (found.length > 0) return found;
  }
  const stop = trail.after?.stop;
  if (stop && !stop.link.flags.includes("UP")) {
    const netns = stop.point.netns;
    const command = inNetns(netns, "ip", "link", "set", stop.link.name, "up");
    return [problem(
      "link_down",
      ["link", stop.place],
      `${stop.point.name} is down`,
      [`its flags are ${stop.link.flags.join(", ")}`],
      shellText(command),
      { what: `bring ${stop.point.name} up`, commands: [command] },
    )];
  }
  if (stop && !stop.link.carrier && stop.link.operState === "DOWN") {
    return [problem(
      "no_carrier",
      ["link", stop.place],
      `${stop.point.name} has no carrier`,
      [`its state is ${stop.link.operState}`],
      "look at its other end, or its ports",
    )];
  }
  return [];
}

/** The interfaces of the container that a question goes by; all, if it is not known. */
function onTheWay({ interfaces }: Scene, { journey }: Trail): Attached[] {
  const found = interfaces.filter(({ link }) =>
    journey.legs.some(({ stop }) =>
      stop.link === link || stop.link.index === link?.index && stop.place === "container"
    )
  );
  return found.length > 0 ? found : interfaces;
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
  if (given.length === 0 || given.includes(first.packet.source)) return [];
  const attached = scene.interfaces.find(({ link }) =>
    link?.index === trail.journey.legs[0]!.stop.link.index
  );
  return wrongSource(scene, first.packet.source, attached, question.destination);
}

/** A rule that leads a mapped port to somebody else. */
export async function translationReasons(
  { scene, question, met, texts, trail }: Case,
): Promise<Finding[]> {
  if (question.topic !== "port" || question.realDestination === undefined) return [];
  const prerouting = met.filter(({ kind, netns, jump }) =>
    kind === "rule" && netns === undefined && jump === undefined
  );
  for (const one of prerouting) {
    const text = await texts.of(one);
    if (!/\b(dnat|redirect|DNAT|REDIRECT|tproxy|TPROXY)\b/.test(text.text)) continue;
    if (text.text.includes(question.realDestination) || one.table === "mesos-cni") return [];
    return [problem(
      "port_taken_by_rule",
      ["portmap", "agent"],
      `a rule of ${text.program} ${one.table} ${one.chain} takes port ${question.port}/${question.protocol} away from ${scene.name}: ${text.text}`,
      [
        `the kernel's trace: ${one.family} ${one.table} ${one.chain} rule handle ${one.handle}`,
        ...trail.last < 0
          ? []
          : [`the port should lead to ${question.realDestination}:${question.realPort}`],
      ],
      text.remove
        ? `if it is not meant so, delete it: ${shellText(text.remove)}`
        : "look at that rule",
      text.remove && { what: "delete that rule", commands: [text.remove] },
    )];
  }
  return [];
}

/** A frame that was sent to the wrong hardware address, by a table entry that is wrong. */
function hardwareReasons({ scene, trail, question }: Case): Finding[] {
  const { seen, journey } = trail;
  for (let i = 0; i < seen.length - 1; i++) {
    const sighting = seen[i];
    const leg = journey.legs[i]!;
    if (sighting && leg.direction === "out" && leg.stop.link.flags.includes("NOARP")) {
      return noArp(leg.stop.link.name, leg.stop.place, leg.stop.point.netns, [
        `the frame leaving by ${leg.stop.point.name} went to ${sighting.to}`,
        `its flags are ${leg.stop.link.flags.join(", ")}`,
      ]);
    }
    if (!sighting || leg.direction !== "out" || sighting.to === undefined) continue;
    const wanted = receiverMacs(scene, trail, i);
    if (!wanted || wanted.includes(sighting.to)) continue;
    const netns = leg.stop.point.netns;
    const view = netns === scene.inside.netns
      ? scene.inside
      : netns === undefined
      ? scene.host
      : undefined;
    const entry = view?.netlink.neighbours().find((one) =>
      one.mac === sighting.to && one.link === leg.stop.link.index
    );
    const owner = scene.ownerOfMac(sighting.to);
    const place: Place = netns === undefined
      ? leg.stop.place === "uplink" ? "uplink" : "agent"
      : leg.stop.place;
    const whose = owner
      ? `${sighting.to} is ${owner.link} of ${
        owner.container === undefined ? "this agent" : `container ${owner.container}`
      }`
      : `nobody on this agent has ${sighting.to}`;
    const command = entry &&
      inNetns(netns, "ip", "neighbour", "del", entry.address, "dev", leg.stop.link.name);
    return [problem(
      "wrong_mac",
      ["neighbour", place],
      `${netns === undefined ? "the agent" : scene.name} sends what is for ${
        entry?.address ?? question.destination
      } on ${leg.stop.link.name} to ${sighting.to}, which is not its hardware address`,
      [
        `the frame leaving by ${leg.stop.point.name} went to ${sighting.to}; ${
          wanted.join(" or ")
        } is right`,
        whose,
        ...entry
          ? [`its neighbour table: ${entry.address} lladdr ${entry.mac} ${entry.state}`]
          : [],
      ],
      command
        ? `forget it: ${shellText(command)}`
        : `find who answers for ${question.destination} with ${sighting.to}`,
      command && { what: `forget ${sighting.to} for ${entry!.address}`, commands: [command] },
    )];
  }
  return [];
}

/** The hardware addresses that are right for what leaves by a leg. */
function receiverMacs(_scene: Scene, { journey }: Trail, i: number): string[] | undefined {
  const leg = journey.legs[i]!;
  // The next that takes a frame in as its own: a bridge device, a routed veth, a container's end.
  for (let j = i + 1; j < journey.legs.length; j++) {
    const next = journey.legs[j]!;
    if (next.way !== leg.way || next.direction !== "in") continue;
    const isPort = next.stop.link.master !== undefined && next.stop.place !== "uplink";
    if (isPort) continue;
    return next.stop.link.mac === undefined ? undefined : [next.stop.link.mac];
  }
  // Over a bridge to the other container's end, which is the last hop of this way.
  return undefined;
}

/** Nobody answers who has the next hop's address: the question of ARP or ND was lost itself. */
async function neighbourReasons(one: Case): Promise<Finding[]> {
  const { scene, question, trail, session, answer } = one;
  for (const address of question.neighbours) {
    const about = session.about(address);
    const requests = about.filter(({ packet }) => packet.protocol.endsWith("request"));
    if (requests.length === 0) continue;
    const asker = answer.detail.startsWith(NOBODY_ANSWERS)
      ? trail.journey.legs[0]
      : askerOf(trail, requests);
    if (!asker) continue;
    const heard = !answer.detail.startsWith(NOBODY_ANSWERS) &&
      about.some(({ at, direction, packet }) =>
        packet.protocol.endsWith("reply") && at === asker.stop.point.name && direction === "in"
      );
    if (heard) continue;
    const drop = session.rulesAbout(address).find(({ verdict }) => verdict === "drop");
    if (drop) {
      const { ruleReasons } = await import("./rules.ts");
      return await ruleReasons(scene, question, [drop], one.texts);
    }
    const lost = await lostOnTheWire(one, asker, about);
    return lost.length > 0 ? lost : await silent(one, address, asker, about);
  }
  return [];
}

/** ARP and neighbour discovery pass the same links as the packet that waits for them. */
async function lostOnTheWire(
  one: Case,
  asker: Leg,
  about: readonly Sighting[],
): Promise<Finding[]> {
  const { journey } = one.trail;
  const start = journey.legs.indexOf(asker);
  const there: [Stop, "out" | "in"][] = [];
  for (const leg of journey.legs.slice(start)) {
    if (leg.way !== asker.way) break;
    there.push([leg.stop, leg.direction]);
    // Who takes a frame in for itself is the end of the wire: no port, but a bridge or a container's end.
    if (leg.direction === "in" && leg.stop.link.master === undefined) break;
  }
  const path = journeyOf(journey.from, journey.to, there);
  const seen = path.legs.map((leg) =>
    about.find(({ at, direction, packet }) =>
      at === leg.stop.point.name && direction === leg.direction &&
      packet.protocol.endsWith(leg.way === "there" ? "request" : "reply")
    )
  );
  const last = seen.findLastIndex((sighting) => sighting !== undefined);
  const [before, after] = [path.legs[last], path.legs[last + 1]];
  // At the far end of the wire it is for who was asked to answer.
  if (!before || !after || before.way !== after.way) return [];
  const trail: Trail = { journey: path, seen, last, before, after, place: after.stop.place };
  const ports = bridgeReasons({ ...one, trail });
  return ports.length > 0 ? ports : await hooks({ ...one, trail });
}

/** Who asks is whose next step is to send by that link. */
function askerOf(
  { after, before, journey }: Trail,
  requests: readonly Sighting[],
): Leg | undefined {
  const asks = (leg: Leg | undefined) =>
    leg?.direction === "out" &&
    requests.some(({ at, direction }) => at === leg.stop.point.name && direction === "out");
  if (asks(after)) return after;
  // Routed, the agent's next hop to a container is on the far side of its bridge.
  const candidates = journey.legs.filter((leg) => asks(leg));
  return candidates.find((leg) =>
    leg.way === (before?.way ?? "there") &&
    journey.legs.indexOf(leg) > journey.legs.indexOf(before!)
  );
}

async function silent(
  { scene, question, session, trail }: Case,
  address: string,
  asker: Leg,
  about: readonly Sighting[],
): Promise<Finding[]> {
  const netns = asker.stop.point.netns;
  const seenAt = [
    ...new Set(
      about.map(({ at, direction, packet }) =>
        `${packet.protocol} ${direction === "out" ? "leaving by" : "arriving on"} ${at}`
      ),
    ),
  ];
  const evidence = [`asked who has ${address}; seen: ${seenAt.join(", ")}`];
  const owner = scene.host.ownerOf(address);
  const isOurs = scene.inside.ownerOf(address) !== undefined;
  const attached = scene.interfaces.find(({ link }) => link?.index === asker.stop.link.index) ??
    scene.interfaces[0]!;
  const arrivedAtAgent = about.some(({ at, direction, packet }) =>
    packet.protocol.endsWith("request") && direction === "in" &&
    (at === attached.bridge?.name || (!attached.bridge && at === attached.hostEnd?.name))
  );
  if (netns === scene.inside.netns && owner) {
    const ports = portReasonsOfBridge(scene, attached, about, trail);
    if (!arrivedAtAgent && ports.length > 0) return ports;
    if (!arrivedAtAgent) return await hooks({ scene, question, session, trail } as Case);
    const arp = arpSettings(
      scene,
      owner.name,
      attached.ingress?.name ?? owner.name,
      address,
      evidence,
    );
    if (arp.length > 0) return arp;
    return [problem(
      "gateway_silent",
      ["neighbour", "agent"],
      `the agent hears who has ${address} on ${attached.ingress?.name}, and does not answer`,
      evidence,
      `look at ${owner.name}: ip -d link show ${owner.name}, and its arp_ignore, arp_filter and rp_filter`,
    )];
  }
  if (netns === scene.inside.netns) {
    const wrong = await gatewayAddress(scene, attached, address, evidence);
    if (wrong.length > 0) return wrong;
    const duplicate = (await probeAddresses(scene)).filter(({ mechanism }) =>
      mechanism === "duplicate"
    );
    if (duplicate.length > 0) return duplicate;
    const ports = portReasonsOfBridge(scene, attached, about, trail);
    if (ports.length > 0) return ports;
    const other = scene.ownerOf(address);
    return [problem(
      "neighbour_silent",
      ["neighbour", other ? "neighbour" : trail.journey.to === "outside" ? "outside" : "neighbour"],
      `nobody answers ${scene.name} who has ${address}${
        other ? `, which is container ${other.id}'s` : ""
      }`,
      evidence,
      other
        ? `look at it: mesos-cni netns diagnose ${other.id}`
        : `look whether anybody has ${address} on that wire`,
    )];
  }
  if (
    isOurs ||
    scene.interfaces.some(({ expected }) => expected.some((one) => one.address === address))
  ) {
    const ports = portReasonsOfBridge(scene, attached, about);
    if (ports.length > 0) return ports;
    const lost = (await probeAddresses(scene)).filter(({ level }) => level === "problem");
    if (lost.length > 0) return lost;
    const inner = arpSettings(
      scene,
      attached.ifName,
      attached.ifName,
      address,
      evidence,
      scene.inside.netns,
    );
    if (inner.length > 0) return inner;
    return [problem(
      "container_silent",
      ["neighbour", "container"],
      `${scene.name} does not answer the agent who has ${address}`,
      evidence,
      `look at ${attached.ifName} there: its address, and ip -d link show (NOARP)`,
    )];
  }
  return [problem(
    "neighbour_silent",
    ["neighbour", "outside"],
    `nobody on ${asker.stop.link.name} answers who has ${address}`,
    evidence,
    `look whether ${address} is there, and at the agent's route that leads by it: ip route get ${question.destination}`,
  )];
}

/** The network's own gateway against the one that is asked for. */
async function gatewayAddress(
  scene: Scene,
  attached: Case["scene"]["interfaces"][number],
  address: string,
  evidence: string[],
): Promise<Finding[]> {
  const lost = probeBridges(scene);
  if (lost.length > 0) return lost;
  const right = attached.expected.find((one) => (one.family === 6) === address.includes(":"))
    ?.gateway;
  if (right === undefined || right === address) return [];
  const routed = scene.inside.routes.find(({ gateway }) => gateway === address);
  if (!routed) return [];
  const command = inNetns(
    scene.inside.netns,
    "ip",
    "route",
    "replace",
    routed.destination,
    "via",
    right,
    "dev",
    attached.ifName,
  );
  await Promise.resolve();
  return [problem(
    "gateway_wrong",
    ["route", "container"],
    `the route of ${scene.name} to ${routed.destination} leads by ${address}, where nobody is; the network's gateway is ${right}`,
    evidence,
    shellText(command),
    { what: `lead ${routed.destination} by ${right}`, commands: [command] },
  )];
}

function noArp(
  device: string,
  place: Place,
  netns: string | undefined,
  evidence: string[],
): Finding[] {
  const command = inNetns(netns, "ip", "link", "set", device, "arp", "on");
  return [
    problem(
      "noarp",
      ["link", place],
      `ARP is off on ${device}${
        netns ? " of the container" : ""
      }: no hardware address is asked for, and none is told`,
      evidence,
      shellText(command),
      {
        what: `turn ARP on for ${device}`,
        commands: [command],
      },
    ),
  ];
}

/** Settings by which a host does not answer for an address that it has. */
function arpSettings(
  scene: Scene,
  owner: string,
  device: string,
  address: string,
  evidence: string[],
  netns?: string,
): Finding[] {
  const view = netns === undefined ? scene.host : scene.inside;
  const link = view.link(device);
  const place: Place = netns === undefined
    ? (device === scene.interfaces[0]?.bridge?.name ? "bridge" : "agent")
    : "container";
  if (link?.flags.includes("NOARP")) {
    return noArp(device, place, netns, [...evidence, `its flags are ${link.flags.join(", ")}`]);
  }
  if (address.includes(":")) return [];
  for (const name of ["all", device]) {
    const ignore = Number(view.setting(`ipv4/conf/${name}/arp_ignore`) ?? 0);
    if (ignore >= 3 || (ignore > 0 && owner !== device)) {
      const command = inNetns(netns, "sysctl", "-w", `net.ipv4.conf.${name}.arp_ignore=0`);
      return [
        problem(
          "arp_ignore",
          ["sysctl", place],
          `net.ipv4.conf.${name}.arp_ignore is ${ignore}: ARP for ${address} is not answered on ${device}`,
          evidence,
          shellText(command),
          { what: `set arp_ignore of ${name} to 0`, commands: [command] },
        ),
      ];
    }
    if (view.setting(`ipv4/conf/${name}/arp_filter`) === "1") {
      const command = inNetns(netns, "sysctl", "-w", `net.ipv4.conf.${name}.arp_filter=0`);
      return [
        problem(
          "arp_filter",
          ["sysctl", place],
          `net.ipv4.conf.${name}.arp_filter is 1, and the route to who asks does not lead by ${device}`,
          evidence,
          shellText(command),
          { what: `set arp_filter of ${name} to 0`, commands: [command] },
        ),
      ];
    }
  }
  return [];
}

/** Where a frame gets lost within the bridge. */
function bridgeReasons({ scene, trail, session, token }: Case): Finding[] {
  const found = scene.interfaces.flatMap((attached) =>
    portReasonsOfBridge(scene, attached, session.of(token), trail)
  );
  return found.slice(0, 1);
}

/** Programs and filters that hook in between and can't be read: said, not judged; unless it is certain. */
async function hooks({ trail, session }: Case): Promise<Finding[]> {
  const stops = [trail.before?.stop, trail.after?.stop].filter((one) => one !== undefined);
  for (const stop of stops) {
    const xdp = await xdpOf(stop);
    if (xdp !== undefined && trail.after?.direction === "in" && stop === trail.after.stop) {
      const command = inNetns(
        stop.point.netns,
        "ip",
        "link",
        "set",
        "dev",
        stop.link.name,
        "xdp",
        "off",
      );
      return [problem(
        "xdp_drop",
        ["xdp", stop.place],
        `a program of XDP on ${stop.point.name} (${xdp}) stands where the packet is lost`,
        ["what it does can't be read; nothing else is between these hops"],
        `see whose it is (bpftool net), and take it off: ${shellText(command)}`,
        { what: `take the program off ${stop.point.name}`, commands: [command] },
      )];
    }
  }
  const grown = session.grown.filter((one) => one.startsWith("tc\t")).map((one) => one.split("\t"));
  for (const stop of stops) {
    const hit = grown.find(([, netns, device]) =>
      (netns || undefined) === stop.point.netns && device === stop.link.name
    );
    if (!hit) continue;
    const [, , device, kind, name] = hit as [string, string, string, string, string];
    const command = inNetns(
      stop.point.netns,
      ...kind === "qdisc"
        ? [
          "tc",
          "qdisc",
          "del",
          "dev",
          device,
          name.includes("ingress") || name.includes("clsact") ? "clsact" : "root",
        ]
        : ["tc", "filter", "del", "dev", device, kind.split(" ")[1]!],
    );
    return [problem(
      "tc_drop",
      ["tc", stop.place],
      `tc's ${kind} on ${device} drops packets: ${name}`,
      ["its counter of drops grew while the packet was lost"],
      `look at it (tc -s ${
        kind.split(" ")[0]
      } show dev ${device}), and delete it if it is not meant so: ${shellText(command)}`,
      { what: `delete that ${kind} of ${device}`, commands: [command] },
    )];
  }
  for (const stop of stops) {
    const direction = stop === trail.before?.stop ? "ingress" : "egress";
    const count = stop.point.netns === undefined ? tcxPrograms(stop.link.index, direction) : 0;
    if (count === 0) continue;
    return [problem(
      "tcx_not_judged",
      ["tc", stop.place],
      `${count} program${
        count > 1 ? "s" : ""
      } of tcx at the ${direction} of ${stop.point.name} stand where the packet is lost`,
      ["what they do can't be read"],
      `see whose they are: bpftool net show dev ${stop.link.name}`,
    )];
  }
  return [];
}

async function xdpOf({ point, link }: Stop): Promise<string | undefined> {
  const text = await outputIn(point.netns, "ip", ["-d", "link", "show", "dev", link.name]);
  return /\bprog\/xdp\w* id \d+/.exec(text)?.[0];
}

/** The container's own routes, rules and answers. */
function containerRoutes({ scene, question, answer, trail }: Case): Finding[] {
  const target = trail.before
    ? trail.seen[trail.last]?.packet.source ?? question.destination
    : question.destination;
  return routeReasons(scene, target, question.family, answer.detail);
}

function agentRoutes({ scene, question, trail }: Case): Finding[] {
  const input = trail.before?.direction === "in" ? trail.before.stop.link.name : undefined;
  const forwards = trail.journey.to !== "agent" && trail.journey.from !== "agent";
  return [
    ...forwards ? forwardingReasons(scene, question.family, input) : [],
    ...agentRouteReasons(scene, question, trail),
    ...trail.before?.way === "back" || trail.journey.to === "container" ? probeWayBack(scene) : [],
  ].slice(0, 1);
}

/** The packet has left the agent, and nothing comes back. */
async function outside(one: Case): Promise<Finding[]> {
  const { scene, question, trail } = one;
  const sent = trail.seen[trail.last]!;
  const back = agentRouteReasons(scene, question, trail, true);
  if (back.length > 0) return back;
  const masquerade = await masqueradeReasons(scene, question, sent.packet.source, one);
  if (masquerade.length > 0) return masquerade;
  const link = trail.before!.stop.link;
  const route = routeOr(() => scene.host.netlink.routeTo(question.destination));
  const nextHop = route?.gateway ?? question.destination;
  const own = scene.host.addressesOf(link).find(({ family }) =>
    (family === "inet6") === (question.family === 6)
  )?.address;
  const answers = await answersFor(undefined, link, nextHop, own);
  if (sent.to !== undefined && answers.length > 0 && !answers.includes(sent.to)) {
    const entry = scene.host.netlink.neighbours().find((two) =>
      two.address === nextHop && two.link === link.index
    );
    const command = ["ip", "neighbour", "del", nextHop, "dev", link.name];
    return [problem(
      "wrong_mac",
      ["neighbour", "uplink"],
      `the agent sends what is for ${nextHop} on ${link.name} to ${sent.to}; ${
        answers.join(", ")
      } answers for it`,
      [`its neighbour table: ${nextHop} lladdr ${entry?.mac} ${entry?.state}`],
      shellText(command),
      { what: `forget ${sent.to} for ${nextHop}`, commands: [command] },
    )];
  }
  const large = sent.length > 1000;
  if (large) {
    return [problem(
      "pmtu_black_hole",
      ["mtu", "outside"],
      `packets of ${sent.length} bytes leave by ${link.name} and get no answer, smaller ones do: a hop beyond takes less, and its word of that (ICMP) does not come back`,
      [`a packet of ${sent.length} bytes with DF was seen leaving by ${link.name}`],
      `give the network a smaller "mtu", or let ICMP "fragmentation needed" (IPv6: packet too big) pass on the way`,
    )];
  }
  return [problem(
    "outside_silent",
    [question.topic === "dns" ? "dns" : answers.length === 0 ? "neighbour" : "route", "outside"],
    question.topic === "dns"
      ? `the DNS server ${question.destination} does not answer: the question leaves by ${link.name}, and nothing comes back`
      : `${question.destination} does not answer: the packet leaves by ${link.name}, and nothing comes back`,
    [
      `it left as ${sent.packet.source} → ${sent.packet.destination} to ${sent.to}`,
      answers.length === 0
        ? `nobody answers who has ${nextHop} on ${link.name}`
        : `${answers.join(", ")} answers for ${nextHop}`,
    ],
    `look at ${question.destination}: whether it is up, its firewall, and its route back to ${sent.packet.source}`,
  )];
}

function routeOr<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** The packet has arrived at who must answer, and no answer leaves. */
async function receiver({ scene, question, answer, trail }: Case): Promise<Finding[]> {
  if (trail.journey.to === "agent") {
    const back = agentRouteReasons(scene, question, trail, true);
    if (back.length > 0) return back;
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
      );
    if (back && back.length > 0) return back;
  }
  return [];
}
