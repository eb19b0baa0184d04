/** ARP and neighbour discovery that get no answer. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, type Place, problem, shellText } from "../finding.ts";
import { journey as journeyOf, type Leg, type Stop } from "../journey.ts";
import type { Sighting } from "../observe/tap.ts";
import type { Trail } from "../place.ts";
import { NOBODY_ANSWERS } from "../questions/question.ts";
import type { Attached, Scene } from "../scene.ts";
import { probeAddresses } from "./address.ts";
import { bridgeReasons, hooks } from "./between.ts";
import { portReasonsOfBridge } from "./bridge_port.ts";
import { probeBridges } from "./bridge.ts";
import { legacyReasons } from "./drops.ts";
import { farReasons } from "./far.ts";
import { noArp } from "./hardware.ts";
import { routeWords, ruleTo } from "./policy.ts";
import { probeWayBack } from "./way_back.ts";
import { ruleReasons } from "./rules.ts";

/** Nobody answers who has the next hop's address: the question of ARP or ND was lost itself. */
export async function neighbourReasons(one: Case): Promise<Finding[]> {
  const { scene, question, trail, session, answer } = one;
  for (const address of question.neighbours) {
    const about = session.about(address);
    const requests = about.filter(({ packet }) => packet.protocol.endsWith("request"));
    if (requests.length === 0) {
      // It may be dropped before it is on the link, by a rule for ARP alone.
      const unseen = session.rulesAbout(address).find(({ verdict, packet }) =>
        verdict === "drop" && packet?.protocol.endsWith("request")
      );
      if (unseen) return await ruleReasons(scene, question, [unseen], one.texts);
      continue;
    }
    const asker = answer.detail.startsWith(NOBODY_ANSWERS)
      ? trail.journey.legs[0]
      : askerOf(trail, requests);
    if (!asker) continue;
    const heard = !answer.detail.startsWith(NOBODY_ANSWERS) &&
      about.some(({ at, direction, packet }) =>
        packet.protocol.endsWith("reply") && at === asker.stop.point.name && direction === "in"
      );
    // An answer that was heard on the link may be dropped behind it.
    const drop = session.rulesAbout(address).find(({ verdict }) => verdict === "drop");
    if (heard && !drop) continue;
    if (drop) {
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
  if (ports.length > 0) return ports;
  const found = await hooks({ ...one, trail });
  // What is bridged meets the rules of IP too, and those of iptables-legacy are only counted.
  return found.length > 0 ? found : legacyReasons(one.scene, one.question, [], one.session.grown);
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
  one: Case,
  address: string,
  asker: Leg,
  about: readonly Sighting[],
): Promise<Finding[]> {
  const { scene, question, session, trail } = one;
  const netns = asker.stop.point.netns;
  if (
    question.topic === "dns" && address === question.destination && !scene.host.ownerOf(address)
  ) {
    return [problem(
      "nameserver_absent",
      ["dns", "container"],
      `${scene.name} is told to ask the DNS server ${address}, and nobody is there`,
      [`nobody on ${asker.stop.point.name} answers who has ${address}`],
      'look whether that server is up; else name another in resolv.conf: the network\'s "dns"',
    )];
  }
  // Neighbour discovery is IPv6 and meets its rules, which ARP does not.
  const dropped = question.family === 6 ? legacyReasons(scene, question, [], session.grown) : [];
  if (dropped.length > 0) return dropped;
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
    const ports = portReasonsOfBridge(scene, attached, about, trail, question.far);
    if (!arrivedAtAgent && ports.length > 0) return ports;
    if (!arrivedAtAgent) return await hooks({ session, trail });
    const filtered = probeWayBack(scene).filter(({ code }) => code === "rp_filter");
    if (filtered.length > 0) return filtered;
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
    const theirs = farReasons(one);
    if (theirs.length > 0) return theirs;
    const wrong = await gatewayAddress(
      scene,
      attached,
      address,
      evidence,
    );
    if (wrong.length > 0) return wrong;
    const duplicate = (await probeAddresses(scene)).filter(({ mechanism }) =>
      mechanism === "duplicate"
    );
    if (duplicate.length > 0) return duplicate;
    const ports = portReasonsOfBridge(scene, attached, about, trail, question.far);
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
        ? `look at it: mesos-cni diagnose ${other.id}`
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
  attached: Attached,
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
  const culprit = routed.table === "main"
    ? undefined
    : ruleTo(scene.inside, routed, address.includes(":") ? 6 : 4);
  if (culprit) {
    const remove = inNetns(scene.inside.netns, ...culprit.remove);
    return [problem(
      "rule_elsewhere",
      [culprit.mechanism, "container"],
      `${scene.name} is led to ${address}, where nobody is, by ${culprit.text}`,
      evidence,
      shellText(remove),
      { what: "delete that rule", commands: [remove] },
    )];
  }
  const isThere = scene.inside.routes.some(({ destination, gateway, type }) =>
    destination === routed.destination && gateway === right && type === "unicast"
  );
  // A route of another metric is not replaced, and one that leads nowhere is in the way of that.
  const commands = [
    ["ip", "route", "del", ...routeWords(routed, scene.inside)],
    ...isThere
      ? []
      : [["ip", "route", "add", routed.destination, "via", right, "dev", attached.ifName]],
  ].map((command) => inNetns(scene.inside.netns, ...command));
  await Promise.resolve();
  return [problem(
    "gateway_wrong",
    ["route", "container"],
    `the route of ${scene.name} to ${routed.destination} leads by ${address}, where nobody is; the network's gateway is ${right}`,
    evidence,
    commands.map(shellText).join(" && "),
    { what: `lead ${routed.destination} by ${right}`, commands },
  )];
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
