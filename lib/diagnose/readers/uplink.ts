/** The packet has left the agent, and nothing comes back; or its way out leads to no wire. */
import {
  type Cause,
  cause,
  type Proof,
  RECOVER,
  removing,
  run,
  settingCause,
} from "../../facts/cause.ts";
import { readPluginRules } from "../../facts/readers/ports.ts";
import { stateCause } from "../../facts/readers/bridge.ts";
import { pluginOf } from "../../facts/scene.ts";
import { within } from "../../base/ip.ts";
import { ruleLine } from "../../firewall/rule.ts";
import { tokens } from "../../firewall/saved.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Checkpoint } from "../../containers/checkpoint.ts";
import type { Evidence } from "../evidence.ts";
import { failureText } from "../failure.ts";
import { goes } from "../journey.ts";
import { icmpText } from "../packets/frame.ts";
import { swallowingHops } from "../paths.ts";
import { ofAgent, untrackingCauses, wrongSnat } from "./changing_rule.ts";
import { routeCauses, subnetTaken } from "./agent_routing.ts";
import { claimed, wrongMac } from "./hardware.ts";
import { firstOf, type Reader, ruleCause } from "./reader.ts";

/** An error of ICMP that came in from outside, and says why the packet went no farther. */
export const hopsAnswer: Reader = ({ scene, question, sightings }) => {
  const { family, protocol, destination: address, sizes, journey } = question;
  // What comes for a container is answered by who asked, whose errors say nothing of its way here.
  if (sizes || journey.from !== "container") return [];
  const error = sightings.find(({ at, direction, packet }) =>
    packet.protocol === "icmp error" && direction === "in" && scene.placeOf(at) === "uplink" &&
    UNREACHABLE[family].includes(packet.flags) && !(family === 4 && packet.code === TOO_BIG) &&
    // Where nobody listens, a host says so of its own port.
    !(protocol === "udp" && packet.source === address && packet.code === PORT[family])
  )?.packet;
  if (!error) return [];
  const { source: other, flags: type, code = 0 } = error;
  const said = icmpText(family, type, code);
  return [cause("hop_refuses", ["route", "outside"], { address, other, value: said }, [
    `${other} → ${error.destination}: ICMP type ${type}, code ${code}`,
  ])];
};

/** ICMP's types of what is not reached; and the code of what is too large, which has another answer. */
const UNREACHABLE: Readonly<Record<4 | 6, readonly number[]>> = { 4: [3, 11], 6: [1, 3] };
const TOO_BIG = 4;
const PORT = { 4: 3, 6: 4 } as const;

/** Somebody else answers than who was asked, as behind a balancer that does not see the answers. */
export const othersAnswer: Reader = ({ scene, question, sightings, token }) => {
  const { destination: address, protocol, journey } = question;
  const other = journey.from !== "container" ? undefined : sightings.find(
    ({ at, direction, packet }) =>
      direction === "in" && scene.placeOf(at) === "uplink" && packet.protocol === protocol &&
      protocol !== "icmp" && goes(packet, "back", token) && packet.sourcePort === question.port &&
      packet.source !== address,
  )?.packet;
  return other
    ? [cause("answer_from_another", ["route", "outside"], {
      container: scene.name,
      address,
      other: other.source,
    }, [`${other.source} port ${other.sourcePort} → ${other.destination}, arriving from outside`])]
    : [];
};

/** What lies between the agent and an answer, nearest first. */
export const outside: Reader = (e) => {
  const { before, after } = e.trail;
  const isOutside = before?.way === "there" && after?.way === "back" &&
    before.stop.place === "uplink";
  const looks = [
    ...[back, masquerade, tunnel, unproxied, hardware, wire, sharedAddress, hop, size, ecn],
    silent,
  ];
  return isOutside ? firstOf(...looks.map((look) => () => look(e))) : [];
};

const back = (e: Evidence) => routeCauses(e, true);

/** A packet that leaves with the container's own address gets no answer where nobody knows it. */
async function masquerade(e: Evidence): Promise<Cause[]> {
  const { scene, trail, rules } = e;
  const { source: address } = trail.sighting!.packet;
  const device = trail.before!.stop.link.name;
  if (scene.host.ownerOf(address)) return [];
  const { checkpoint } =
    scene.interfaces.find(({ expected }) => expected.some((one) => one.address === address)) ?? {};
  const left = `seen leaving by ${device} from ${address}`;
  if (!checkpoint) {
    // Translated, but to an address that is not the agent's.
    if (scene.inside.ownerOf(address)) return [];
    return await wrongSnat(e, "masquerade", { device, address }, left);
  }
  const known = { container: scene.name, device, address };
  if (pluginOf(checkpoint, "bridge", "ptp")?.ipMasq !== true) {
    return await ofGoneLink(e, known, left);
  }
  // What came before the container's own rule, and took the packet.
  const called = new Set(rules.flatMap(({ jump }) => jump ?? []));
  const all = ofAgent(rules).filter(({ table }) => table !== "mangle");
  // No hook comes after it, and chains that it calls have any name.
  const post = all.findIndex(({ chain }) => /post/i.test(chain));
  const passed = post < 0 ? undefined : all.slice(post).find(({ verdict, chain }) =>
    // To return from a chain that no other has called is to go by its policy.
    verdict === "accept" || verdict === "return" && !called.has(chain)
  );
  const taken = passed && await e.ruleOf(passed);
  const about = { container: scene.name, network: checkpoint.network, device, address };
  if (taken?.remove) {
    const seen = [`${left}, its own address`, { rule: taken.ref, verdict: passed!.verdict }];
    return [ruleCause("masquerade_shadowed", taken, seen, about, { mechanism: "masquerade" })];
  }
  const untracking = await untrackingCauses(e, [`${left}, its own address`]);
  if (untracking.length > 0) return untracking;
  // What its plugin has made is there where something that is not traced comes before it.
  const { causes } = await readPluginRules(scene);
  return [cause(
    "masquerade_gone",
    ["masquerade", "agent"],
    about,
    [`${checkpoint.network} has "ipMasq", and no rule of postrouting translated what was ${left}`],
    causes.length > 0 ? RECOVER : undefined,
  )];
}

/** A rule masquerades it for a link that is not there, as when the kernel gives one another name. */
async function ofGoneLink(
  { scene: { agent, host }, question: { family } }: Evidence,
  about: { container: string; device: string; address: string },
  left: string,
): Promise<Cause[]> {
  const at = { family, table: "nat", chain: "POSTROUTING" } as const;
  const rules = (await agent.rules.every()).flatMap((view) => view.rules(at));
  const rule = rules.find(({ outDevice, source, target = { other: "" } }) =>
    ("masquerade" in target || "other" in target && /^-j SNAT\b/.test(target.other)) &&
    outDevice && !outDevice.not && !outDevice.is.endsWith("+") && !host.link(outDevice.is) &&
    (!source ||
      within(about.address, `${source.address}/${source.prefixLength}`) !== (source.not === true))
  );
  if (!rule) return [];
  const program = family === 4 ? "iptables" : "ip6tables";
  const ref = { ...at, program, family: family === 4 ? "ip" : "ip6", text: ruleLine(rule) };
  const words = tokens(ruleLine({ ...rule, outDevice: { is: about.device } }));
  const fix = rule.unknown.length > 0 ? undefined : run([program, "-w", "-t", "nat", ...words]);
  const values = { ...about, rule: ref, other: rule.outDevice!.is, why: "renamed" };
  return [cause("masquerade_gone", ["masquerade", "agent"], values, [left], fix)];
}

/** Who is to send the answer takes the container for a neighbour, and hears nobody who has its address. */
function unproxied({ scene, question: { family }, trail, about }: Evidence): Cause[] {
  const { name: device } = trail.before!.stop.link;
  const { source: address } = trail.sighting!.packet;
  const here = about(address).filter(({ at }) => at === device);
  const asked = here.find(({ direction, packet }) =>
    direction === "in" && packet.protocol.endsWith("request")
  )?.packet;
  const isAnswered = here.some(({ packet }) => packet.protocol.endsWith("reply"));
  const isOurs = scene.givenOf(family).includes(address) && !scene.host.ownerOf(address);
  if (!isOurs || !asked || isAnswered) return [];
  const proxy = ["neigh", "replace", "proxy", address, "dev", device];
  const fix = family === 4 ? run(["ip", ...proxy]) : run(
    ["sysctl", "-w", `net.ipv6.conf.${device}.proxy_ndp=1`],
    ["ip", "-6", ...proxy],
  );
  const values = { family, container: scene.name, address, device };
  const seen = [`${asked.protocol} for ${address} arriving on ${device}, and no answer leaving`];
  return [cause("proxy_missing", ["neighbour", "uplink"], values, seen, fix)];
}

const forwarded = ({ scene, question, trail }: Evidence) =>
  scene.forwardedOf(question.family, trail.journey.legs[0]?.stop.link);

const ownOn = ({ scene: { host } }: Evidence, link: Link, other: string) =>
  host.addressesOf(link).find(({ family }) => (family === "inet6") === other.includes(":"))
    ?.address;

/** Who answers for the next hop, against where the frame went. */
async function nextHop(e: Evidence) {
  const { scene: { host }, question: { destination }, trail } = e;
  const { link } = trail.before!.stop;
  const { to } = trail.sighting!;
  const entry = host.entryTo(destination, forwarded(e));
  // Of several the kernel chooses for each connection anew, and an agent's own may go by another.
  const taken = entry?.hops?.find(({ gateway, link: index }) =>
    to !== undefined && gateway !== undefined && index === link.index &&
    host.neighbourNow(gateway, link)?.mac === to
  );
  const way = taken ?? (entry?.hops ? undefined : entry) ?? host.wayTo(destination).route;
  const address = way?.gateway ?? destination;
  const own = ownOn(e, link, destination);
  return { link, address, own, answers: await e.kernel.whoHas(undefined, link, address, own) };
}

async function hardware(e: Evidence): Promise<Cause[]> {
  const { link, address, answers } = await nextHop(e);
  const to = e.trail.seen[e.trail.last]!.to;
  return to === undefined || answers.length === 0 || answers.includes(to)
    ? []
    : [wrongMac(e.scene.host, link, "uplink", { address, mac: to, wanted: answers.join(", ") })];
}

/** The machine for which a tunnel wraps the frame, and whether it answers an echo. */
async function tunnelEnd({ question: { topic }, trail, kernel }: Evidence) {
  const { link } = trail.before!.stop;
  const { to } = trail.sighting!;
  const other = link.kind === "vxlan" && to !== undefined && kernel.tunnelEnd(link.index, to);
  if (!other) return undefined;
  const outcome = await kernel.agentAsks({ topic, protocol: "icmp", destination: other, port: 0 });
  const seen = [
    `bridge fdb: ${to} dev ${link.name} dst ${other}`,
    `the agent asked ${other}: ${outcome}`,
  ];
  return { device: link.name, other, outcome, seen };
}

/** The machine that a tunnel's table names is not there. One that is may be told to answer no echo. */
async function tunnel(e: Evidence): Promise<Cause[]> {
  const { device, other, outcome, seen = [] } = await tunnelEnd(e) ?? {};
  if (other === undefined) return [];
  if (outcome === "answered") return await overlayDropped(e, seen);
  const { link, route } = e.scene.host.wayTo(other);
  const hop = route?.gateway ?? other;
  const isThere = outcome === failureText({ kind: "silence" }) && link !== undefined &&
    (link.flags.includes("NOARP") ||
      (await e.kernel.whoHas(undefined, link, hop, ownOn(e, link, hop))).length > 0);
  const about = { device, address: e.question.destination, other };
  return isThere ? [] : [cause("tunnel_silent", ["neighbour", "outside"], about, seen)];
}

/** Of vxlan: IANA's, and the one that the kernel and Flannel take. */
const VXLAN_PORTS = [4789, 8472];

/** Who has the tunnel's end is there, and a rule of the agent's drops what comes out of tunnels. */
async function overlayDropped({ scene: { agent } }: Evidence, seen: Proof[]): Promise<Cause[]> {
  const at = { family: 4, table: "filter", chain: "INPUT" } as const;
  const rule = (await agent.rules.every()).flatMap((view) => view.rules(at)).find((
    { port, target = { other: "" } },
  ) =>
    port?.protocol === "udp" && VXLAN_PORTS.includes(port.number) &&
    ("verdict" in target && target.verdict === "DROP" ||
      "other" in target && target.other.startsWith("-j REJECT"))
  );
  if (!rule) return [];
  const text = ruleLine(rule);
  const ref = { ...at, program: "iptables", family: "ip", text };
  const words = ["iptables", "-w", "-t", "filter", "-D", ...tokens(text).slice(1)];
  const fix = rule.unknown.length > 0 ? undefined : removing(text, words);
  const values = { rule: ref, why: "what comes out of tunnels" };
  return [cause("rule_drop", ["iptables", "agent"], values, seen, fix)];
}

/** Of several next hops the one by which it went may pass nothing on. */
const hop = (e: Evidence) =>
  swallowingHops(
    e.scene.host,
    e.kernel,
    { ...e.question, from: forwarded(e) },
    e.trail.seen[e.trail.last]!.to,
  );

const wire = (e: Evidence) => withoutPort(e, e.trail.before!.stop.link);

/** Somebody beyond who has the agent's own address takes its packets for his own. */
async function sharedAddress(e: Evidence): Promise<Cause[]> {
  const { link, own: address } = await nextHop(e);
  return address === undefined ? [] : await claimed(e.scene.host, e.kernel, link, address);
}

/** Above it a packet was made large to ask for the size of the path. */
const LARGE = 1000;

function size({ scene, trail }: Evidence): Cause[] {
  const { link } = trail.before!.stop;
  const bytes = trail.sighting!.length;
  if (bytes <= LARGE) return [];
  const port = scene.host.links.find(({ master, mtu }) => master === link.index && mtu < bytes);
  if (port) {
    return [cause(
      "mtu_too_small",
      ["mtu", "uplink"],
      { device: port.name, other: link.name, mtu: port.mtu, bytes, why: "port of a bridge" },
      [`the MTU of ${port.name} is ${port.mtu}, of ${link.name} ${link.mtu}`],
      run(["ip", "link", "set", port.name, "mtu", String(link.mtu)]),
    )];
  }
  return [cause("pmtu_black_hole", ["mtu", "outside"], { device: link.name, bytes }, [
    `a packet of ${bytes} bytes with DF was seen leaving by ${link.name}`,
  ])];
}

/** TCP's flags of a SYN that asks for congestion to be told of (RFC 3168). */
const ECE_CWR = 0xc0;

/** Who answers the agent's SYN without ECN, and not the container's with it, which has the same address. */
async function ecn(e: Evidence): Promise<Cause[]> {
  const { question, trail, scene: { host, inside, name: container } } = e;
  const { packet } = trail.sighting!;
  const isAsked = packet.protocol === "tcp" && (packet.flags & ECE_CWR) === ECE_CWR &&
    host.setting("ipv4/tcp_ecn") !== "1" && host.ownerOf(packet.source) !== undefined;
  if (!isAsked || await e.kernel.agentAsks(question) !== "answered") return [];
  const about = { container, address: question.destination };
  return [settingCause("ecn_lost", "container", inside, ["ipv4/tcp_ecn", 2], about, [
    "its SYN has the flags ECE and CWR",
    `the agent itself asked ${question.destination}: answered`,
  ])];
}

async function silent(e: Evidence): Promise<Cause[]> {
  const { question, trail, scene } = e;
  const { link, address, answers } = await nextHop(e);
  const { packet, to } = trail.sighting!;
  const isDns = question.topic === "dns";
  const ofAgent = await e.kernel.agentAsks(question);
  const eth = trail.journey.legs[0]?.stop.link;
  // In the mode passthru a macvlan has the address of the device below it.
  const by = scene.interfaces.find(({ expected }) =>
    expected.some((one) => one.address === packet.source)
  )?.checkpoint;
  const isMasqueraded = (one?: Checkpoint) => pluginOf(one, "bridge", "ptp")?.ipMasq === true;
  const other = scene.interfaces.find(({ checkpoint }) => isMasqueraded(checkpoint))?.checkpoint;
  if (ofAgent === "answered" && by && !isMasqueraded(by) && other) {
    return [cause(
      "not_masqueraded",
      ["masquerade", "agent"],
      {
        container: scene.name,
        address: question.destination,
        device: link.name,
        network: by.network,
        other: packet.source,
        value: other.network,
      },
      [
        `it left by ${link.name} as ${packet.source}; ${by.network} has no "ipMasq", ${other.network} has`,
        `the agent itself asked ${question.destination}: ${ofAgent}`,
      ],
    )];
  }
  if (isDns && question.protocol === "tcp") {
    const overUdp = await e.kernel.agentAsks({ ...question, protocol: "udp" });
    const about = { container: scene.name, address: question.destination, why: "lost" };
    const seen = [`asked over UDP: ${overUdp}`, `asked over TCP: ${ofAgent}`];
    if (overUdp === "answered" && ofAgent !== overUdp) {
      return [cause("dns_no_tcp", ["dns", "outside"], about, seen)];
    }
  }
  const hasOwnMac = eth?.kind === "macvlan" && eth.peerIndex === link.index && eth.mac !== link.mac;
  const tunneled = await tunnelEnd(e);
  const isSilentEnd = tunneled && tunneled.outcome !== "answered";
  const alone = hasOwnMac ? "its own hardware address" : "the agent alone";
  return [cause(
    "outside_silent",
    [isDns ? "dns" : answers.length === 0 ? "neighbour" : "route", "outside"],
    {
      container: ofAgent === "answered" ? scene.name : undefined,
      address: question.destination,
      device: link.name,
      other: packet.source,
      mac: hasOwnMac ? eth.mac : undefined,
      setting: question.variable,
      value: tunneled?.other,
      why: ofAgent === "answered" ? alone : isSilentEnd ? "tunnel" : isDns ? "dns" : undefined,
    },
    [
      `it left as ${packet.source} → ${packet.destination}${to ? ` to ${to}` : ""}`,
      { asked: address, on: link.name, answers },
      `the agent itself asked ${question.destination}: ${ofAgent}`,
      ...tunneled?.seen ?? [],
    ],
  )];
}

/** A way out that is a bridge, and leads to no wire. */
export function withoutPort(
  { scene, question: { destination } }: Pick<Evidence, "scene" | "question">,
  link: Link,
): Cause[] {
  const { host, agent } = scene;
  if (link.kind !== "bridge") return [];
  const ports = host.links.filter(({ master }) => master === link.index);
  const taken = subnetTaken(scene, link, destination);
  if (taken) return [taken];
  const live = ports.filter(({ carrier, flags }) => carrier && flags.includes("UP"));
  const ends = new Set(
    agent.containers.flatMap(({ attachments }) => attachments).flatMap(({ result }) =>
      result?.interfaces.flatMap(({ name, sandbox }) => sandbox ? [] : name) ?? []
    ),
  );
  const outward = live.filter(({ name }) => !ends.has(name));
  const waits = (port: Link) => (agent.portOf(port)?.state ?? "forwarding") !== "forwarding";
  // Of two that lead to one switch STP blocks one.
  if (outward.length > 0 && outward.every(waits)) {
    return [stateCause(scene, outward[0]!, "uplink")];
  }
  if (live.length > 0) return [];
  const isFarEnd = ports.some(({ flags }) => flags.includes("UP"));
  return [cause("no_carrier", ["link", isFarEnd ? "outside" : "uplink"], {
    device: link.name,
    other: ports.map(({ name }) => name).join(", "),
    why: ports.length === 0 ? "no port" : isFarEnd ? "no carrier at its ports" : "no port up",
  }, [{ device: link.name, flags: link.flags, state: link.operState }])];
}
