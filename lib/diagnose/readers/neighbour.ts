/** ARP and neighbour discovery: nobody answers, the wrong one does, or a frame went to another. */
import { within } from "../../base/ip.ts";
import {
  type Cause,
  cause,
  inNetns,
  type Place,
  type Proof,
  removing,
  run,
} from "../../facts/cause.ts";
import { duplicate } from "../../facts/readers/address.ts";
import { bridgeCauses } from "../../facts/readers/bridge.ts";
import { type Attached, givenTo, type Scene } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Evidence } from "../evidence.ts";
import { gatewaysOf } from "../gateways.ts";
import { journey as journeyOf, type Leg, type Stop } from "../journey.ts";
import type { Sighting } from "../observe/tap.ts";
import { type Trail, trailAt } from "../place.ts";
import { droppedBy } from "./agent_firewall.ts";
import { wayBack } from "./agent_routing.ts";
import { bridgePortCauses, portCauses } from "./bridge.ts";
import { farCauses } from "./container.ts";
import { legacyCauses } from "./legacy.ts";
import { routeWords, ruleTo } from "./policy.ts";
import { always, type Reader } from "./reader.ts";
import { hooksAt } from "./wire.ts";

/** Nobody answers who has the next hop's address: the question of ARP or ND was lost itself. */
export const unansweredNeighbour: Reader = {
  name: "ARP or neighbour discovery that nobody answered",
  applies: always,
  async read(e) {
    const nobodyHas = e.failure.kind === "nobody_has";
    for (const address of e.question.neighbours) {
      const about = e.about(address);
      const requests = about.filter(({ packet }) => packet.protocol.endsWith("request"));
      const drop = e.rulesAbout(address).find(({ verdict }) => verdict === "drop");
      if (requests.length === 0) {
        // It may be dropped before it is on the link, by a rule for ARP alone.
        if (drop?.packet?.protocol.endsWith("request")) return [await droppedBy(e, drop)];
        continue;
      }
      const asker = nobodyHas ? e.trail.journey.legs[0] : askerOf(e.trail, requests);
      if (!asker) continue;
      // An answer that was heard on the link may be dropped behind it.
      if (drop) return [await droppedBy(e, drop)];
      const heard = !nobodyHas &&
        about.some(({ at, direction, packet }) =>
          packet.protocol.endsWith("reply") && at === asker.stop.point.name && direction === "in"
        );
      if (heard) continue;
      const lost = lostOnTheWire(e, asker, about);
      return lost.length > 0 ? lost : await silent({ e, address, asker, about });
    }
    return [];
  },
};

/** ARP and neighbour discovery pass the same links as the packet that waits for them. */
function lostOnTheWire(
  e: Evidence,
  asker: Leg,
  about: readonly Sighting[],
): readonly Cause[] {
  const { journey } = e.trail;
  const there: [Stop, "out" | "in"][] = [];
  for (const leg of journey.legs.slice(journey.legs.indexOf(asker))) {
    if (leg.way !== asker.way) break;
    there.push([leg.stop, leg.direction]);
    // Who takes a frame in for itself is the end of the wire: no port, but a bridge or a container's end.
    if (leg.direction === "in" && leg.stop.link.master === undefined) break;
  }
  const path = journeyOf(journey.from, journey.to, there);
  const trail = trailAt(
    path,
    path.legs.map((leg) =>
      about.find(({ at, direction, packet }) =>
        at === leg.stop.point.name && direction === leg.direction &&
        packet.protocol.endsWith(leg.way === "there" ? "request" : "reply")
      )
    ),
  );
  // At the far end of the wire it is for who was asked to answer.
  if (!trail.before || !trail.after || trail.before.way !== trail.after.way) return [];
  const { place } = trail.after.stop;
  const at = { ...trail, place };
  const isBridged = [trail.before, trail.after].some(({ stop }) =>
    stop.place === "host-veth" || stop.place === "bridge" || stop.place === "neighbour"
  );
  const ports = isBridged ? bridgePortCauses(e, at) : [];
  if (ports.length > 0) return ports;
  const found = hooksAt(e, at);
  // What is bridged meets the rules of IP too, and those of iptables-legacy are only counted.
  return found.length > 0 ? found : legacyCauses({ ...e, drops: [] });
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
  return journey.legs.find((leg, i) =>
    asks(leg) && leg.way === (before?.way ?? "there") && i > journey.legs.indexOf(before!)
  );
}

/** An address that nobody answered for, and who asked. */
interface Silence {
  e: Evidence;
  address: string;
  asker: Leg;
  about: readonly Sighting[];
}

async function silent(silence: Silence): Promise<readonly Cause[]> {
  const { e, address, asker } = silence;
  const { scene, question } = e;
  const { netns } = asker.stop.point;
  if (
    question.topic === "dns" && address === question.destination && !scene.host.ownerOf(address)
  ) {
    return [cause("nameserver_absent", ["dns", "container"], {
      container: scene.name,
      address,
    }, [`nobody on ${asker.stop.point.name} answers who has ${address}`])];
  }
  // Neighbour discovery is IPv6 and meets its rules, which ARP does not.
  const dropped = question.family === 6 ? legacyCauses({ ...e, drops: [] }) : [];
  if (dropped.length > 0) return dropped;
  const owner = scene.host.ownerOf(address);
  if (netns === scene.inside.netns) {
    return owner ? agentSilent(silence, owner) : await othersSilent(silence);
  }
  const isOurs = scene.inside.ownerOf(address) !== undefined ||
    scene.interfaces.some(({ expected }) => expected.some((one) => one.address === address));
  if (isOurs) return await containerSilent(silence);
  return [cause("neighbour_silent", ["neighbour", "outside"], {
    device: asker.stop.link.name,
    address,
    wanted: question.destination,
  }, heardText(silence))];
}

function heardText({ address, about }: Silence): Proof[] {
  const seen = new Set(
    about.map(({ at, direction, packet }) =>
      `${packet.protocol} ${direction === "out" ? "leaving by" : "arriving on"} ${at}`
    ),
  );
  return [`asked who has ${address}; seen: ${[...seen].join(", ")}`];
}

function attachedBy({ e: { scene }, asker }: Silence): Attached {
  return scene.interfaces.find(({ link }) => link?.index === asker.stop.link.index) ??
    scene.interfaces[0]!;
}

/** The container asks for an address of the agent. */
function agentSilent(silence: Silence, owner: Link): readonly Cause[] {
  const { e, address, about } = silence;
  const { scene, trail } = e;
  const attached = attachedBy(silence);
  const arrived = about.some(({ at, direction, packet }) =>
    packet.protocol.endsWith("request") && direction === "in" &&
    (at === attached.bridge?.name || (!attached.bridge && at === attached.hostEnd?.name))
  );
  if (!arrived) {
    const ports = portCauses(e, attached, trail);
    return ports.length > 0 ? ports : hooksAt(e, trail);
  }
  const filtered = wayBack(scene).filter(({ code }) => code === "rp_filter");
  if (filtered.length > 0) return filtered;
  const device = attached.ingress?.name ?? owner.name;
  const settings = arpSettings(silence, scene.host, owner.name, device);
  if (settings.length > 0) return settings;
  return [cause("gateway_silent", ["neighbour", "agent"], {
    address,
    device,
    other: owner.name,
  }, heardText(silence))];
}

/** The container asks for an address that is none of the agent's. */
async function othersSilent(silence: Silence): Promise<readonly Cause[]> {
  const { e, address } = silence;
  const { scene, trail } = e;
  const attached = attachedBy(silence);
  const looks = [
    () => farCauses(e),
    () => wrongGateway(silence, attached),
    () => sharedAddresses(e),
    () => portCauses(e, attached, trail),
  ];
  for (const look of looks) {
    const found = await look();
    if (found.length > 0) return found;
  }
  const other = scene.ownerOf(address)?.id;
  const place = other === undefined && trail.journey.to === "outside" ? "outside" : "neighbour";
  return [cause("neighbour_silent", ["neighbour", place], {
    container: scene.name,
    address,
    other,
  }, heardText(silence))];
}

/** The agent, or a neighbour, asks for the container. */
async function containerSilent(silence: Silence): Promise<readonly Cause[]> {
  const { e, address } = silence;
  const { scene } = e;
  const attached = attachedBy(silence);
  const ports = portCauses(e, attached);
  if (ports.length > 0) return ports;
  const shared = await sharedAddresses(e);
  if (shared.length > 0) return shared;
  const { ifName } = attached;
  const settings = arpSettings(silence, scene.inside, ifName, ifName);
  if (settings.length > 0) return settings;
  return [cause("container_silent", ["neighbour", "container"], {
    container: scene.name,
    address,
    device: ifName,
  }, heardText(silence))];
}

/** The network's own gateway against the one that is asked for. */
function wrongGateway(silence: Silence, attached: Attached): Cause[] {
  const { e: { scene }, address } = silence;
  const { inside } = scene;
  const family = address.includes(":") ? 6 : 4;
  const lost = scene.interfaces.flatMap((one) => bridgeCauses(scene, one));
  if (lost.length > 0) return lost;
  const gateway = givenTo(attached, family)?.gateway;
  if (gateway === undefined || gateway === address) return [];
  const routed = inside.routes.find((one) => one.gateway === address);
  if (!routed) return [];
  const container = scene.name;
  const culprit = routed.table === "main" ? undefined : ruleTo(inside, routed, family);
  if (culprit) {
    return [cause(
      "rule_elsewhere",
      [culprit.mechanism, "container"],
      { container, family, address, route: culprit.text, why: "nobody there" },
      heardText(silence),
      removing(culprit.text, inNetns(inside.netns, ...culprit.remove)),
    )];
  }
  const isThere = inside.routes.some((one) =>
    one.destination === routed.destination && one.gateway === gateway && one.type === "unicast"
  );
  // A route of another metric is not replaced, and one that leads nowhere is in the way of that.
  const commands = [
    ["ip", "route", "del", ...routeWords(routed, inside)],
    ...isThere
      ? []
      : [["ip", "route", "add", routed.destination, "via", gateway, "dev", attached.ifName]],
  ];
  return [cause(
    "gateway_wrong",
    ["route", "container"],
    { container, family, address, gateway, route: routed.destination },
    heardText(silence),
    removing(
      `the route by ${address}`,
      ...commands.map((command) => inNetns(inside.netns, ...command)),
    ),
  )];
}

/** Settings by which a host does not answer for an address that it has. */
function arpSettings(silence: Silence, view: Space, owner: string, device: string): Cause[] {
  const { e: { scene }, address } = silence;
  const { netns } = view;
  const place: Place = netns !== undefined
    ? "container"
    : device === scene.interfaces[0]?.bridge?.name
    ? "bridge"
    : "agent";
  const link = view.link(device);
  if (link?.flags.includes("NOARP")) return [noArp(scene, link, place, netns)];
  if (address.includes(":")) return [];
  for (const name of ["all", device]) {
    const setting = (key: string) => `net.ipv4.conf.${name}.${key}`;
    const value = (key: string) => view.setting(`ipv4/conf/${name}/${key}`) ?? "0";
    const ignore = Number(value("arp_ignore"));
    const found = ignore >= 3 || (ignore > 0 && owner !== device)
      ? "arp_ignore"
      : value("arp_filter") === "1"
      ? "arp_filter"
      : undefined;
    if (!found) continue;
    return [cause(
      found,
      ["sysctl", place],
      { address, device, setting: setting(found), value: value(found) },
      heardText(silence),
      run(inNetns(netns, "sysctl", "-w", `${setting(found)}=0`)),
    )];
  }
  return [];
}

/** Without ARP, a link's own address stands in for everybody's. */
function noArp(scene: Scene, link: Link, place: Place, netns: string | undefined): Cause {
  return cause(
    "noarp",
    ["link", place],
    { device: link.name, container: netns === undefined ? undefined : scene.name },
    [{ device: link.name, flags: link.flags }],
    run(inNetns(netns, "ip", "link", "set", link.name, "arp", "on")),
  );
}

/** A frame that was sent to the wrong hardware address, by a table entry that is wrong. */
export const wrongHardware: Reader = {
  name: "a frame that went to the wrong hardware address",
  applies: ({ trail }) => trail.last >= 0,
  read({ scene, trail, question }) {
    for (const [i, leg] of trail.journey.legs.entries()) {
      const sighting = i < trail.seen.length - 1 ? trail.seen[i] : undefined;
      if (!sighting || leg.direction !== "out") continue;
      const { link, point, place } = leg.stop;
      if (link.flags.includes("NOARP")) return [noArp(scene, link, place, point.netns)];
      const wanted = receiverMac(trail, i);
      if (sighting.to === undefined || wanted === undefined || wanted === sighting.to) continue;
      return [wrongMac(scene, leg, sighting.to, wanted, question.destination)];
    }
    return [];
  },
};

function wrongMac(
  scene: Scene,
  { stop: { link, point, place } }: Leg,
  mac: string,
  wanted: string,
  destination: string,
): Cause {
  const { netns } = point;
  const isInside = netns === scene.inside.netns;
  const view = isInside ? scene.inside : netns === undefined ? scene.host : undefined;
  const entry = view?.neighboursNow().find((one) => one.mac === mac && one.link === link.index);
  const owner = scene.agent.ownerOfMac(mac);
  const routed = view && entry && owner && routedBy(scene, view, entry.address, owner.container);
  if (routed) return routed;
  const address = entry?.address ?? destination;
  return cause(
    "wrong_mac",
    ["neighbour", netns !== undefined ? place : place === "uplink" ? "uplink" : "agent"],
    {
      container: netns === undefined ? undefined : scene.name,
      address,
      device: link.name,
      mac,
      why: entry ? undefined : "no entry",
    },
    [
      `the frame leaving by ${point.name} went to ${mac}; ${wanted} is right`,
      owner
        ? `${mac} is ${owner.link} of ${
          owner.container === undefined ? "this agent" : `container ${owner.container}`
        }`
        : `nobody on this agent has ${mac}`,
      ...entry ? [`its neighbour table: ${entry.address} lladdr ${entry.mac} ${entry.state}`] : [],
    ],
    entry && run(inNetns(netns, "ip", "neighbour", "del", entry.address, "dev", link.name)),
  );
}

/** A route by somebody who is who he says, and no gateway: the table of neighbours is right then. */
function routedBy(
  scene: Scene,
  view: Space,
  gateway: string,
  other: string | undefined,
): Cause | undefined {
  if (other === undefined || scene.ownerOf(gateway)?.id !== other) return undefined;
  const route = view.routes.find((one) => one.gateway === gateway && one.type === "unicast");
  if (!route) return undefined;
  const isInside = view === scene.inside;
  const words = routeWords(route, view);
  const text = words.join(" ");
  return cause(
    "gateway_wrong",
    ["route", isInside ? "container" : "agent"],
    { container: isInside ? scene.name : undefined, gateway, other, route: text },
    [`ip route: ${text}`],
    removing(text, inNetns(view.netns, "ip", "route", "del", ...words)),
  );
}

/** The hardware address that is right for what leaves by a leg. */
function receiverMac({ journey }: Trail, i: number): string | undefined {
  const leg = journey.legs[i]!;
  // The next that takes a frame in as its own: a bridge device, a routed veth, a container's end.
  return journey.legs.slice(i + 1).find(({ way, direction, stop }) =>
    way === leg.way && direction === "in" &&
    (stop.link.master === undefined || stop.place === "uplink")
  )?.stop.link.mac;
}

/** Addresses of the container's that somebody else answers for (RFC 5227), or was given. */
export async function sharedAddresses(
  { scene, kernel }: Pick<Evidence, "scene" | "kernel">,
): Promise<Cause[]> {
  const found = scene.interfaces.flatMap(({ link, ifName }) => {
    if (!link?.flags.includes("UP")) return [];
    const own = scene.inside.globalsOf(link, 4);
    return own.slice(0, MOST_ADDRESSES).map(async ({ address }) => {
      const answers = await kernel.whoHas(scene.inside.netns, link, address, "nobody");
      if (answers.every((mac) => mac === link.mac)) return [];
      return [duplicate(scene, address, [
        { asked: address, on: ifName, answers },
        `${ifName} is ${link.mac}`,
      ])];
    });
  });
  return (await Promise.all(found)).flat();
}

/** An interface with hundreds of addresses is none of a container's usual ones. */
const MOST_ADDRESSES = 8;

/** Whether somebody else answers for a gateway, or the container's table has somebody else for it. */
export async function wrongGateways(e: Pick<Evidence, "scene" | "kernel">): Promise<Cause[]> {
  const found = e.scene.interfaces.flatMap((attached) =>
    attached.link?.flags.includes("UP")
      ? gatewaysOf(e.scene, attached).map((gateway) => answerFor(e, attached, gateway))
      : []
  );
  return (await Promise.all(found)).flat();
}

async function answerFor(
  { scene, kernel }: Pick<Evidence, "scene" | "kernel">,
  { link, ifName, hostEnd, bridge }: Attached,
  gateway: string,
): Promise<Cause[]> {
  const { inside, host, name: container } = scene;
  const source = inside.addressesOf(link!).find(({ family, address, prefixLength }) =>
    family === "inet" && within(gateway, `${address}/${prefixLength}`)
  )?.address;
  const answers = await kernel.whoHas(inside.netns, link!, gateway, source);
  if (answers.length === 0) return [];
  const owner = host.ownerOf(gateway);
  // A router of the agent's that answers by proxy ARP does so with the end of the veth.
  const right = [owner?.mac, hostEnd?.mac, bridge?.link?.mac];
  const wrong = owner
    ? answers.filter((mac) => !right.includes(mac))
    : answers.slice(answers.length > 1 ? 0 : 1);
  const asked = { asked: gateway, on: ifName, answers };
  if (wrong.length > 0) {
    return [cause("gateway_wrong_mac", ["neighbour", "container"], {
      container,
      gateway,
      device: ifName,
      mac: wrong.join(" and "),
      value: wrong.length > 1 ? "" : "s",
      why: wrong.map((mac) => silence(scene, mac, gateway, owner)).join("; "),
    }, [
      asked,
      ...owner ? [`${owner.name}, whose address it is, has ${owner.mac}`] : [],
    ])];
  }
  const cached = inside.neighbourNow(gateway, link!);
  if (cached?.mac === undefined || answers.includes(cached.mac)) return [];
  return [cause(
    "gateway_wrong_mac",
    ["neighbour", "container"],
    { container, gateway, device: ifName, mac: cached.mac },
    [`its neighbour table has ${cached.mac} (${cached.state})`, asked],
    run(inNetns(inside.netns, "ip", "neighbour", "del", gateway, "dev", ifName)),
  )];
}

/** How to make a hardware address answer for the gateway no more. */
function silence({ agent }: Scene, mac: string, gateway: string, owner: Link | undefined): string {
  const { link, container } = agent.ownerOfMac(mac) ?? {};
  if (link === undefined) {
    return "another machine has the gateway's address, by mistake or on purpose: find it by " +
      `${mac} in the tables of the switches, and take the address from it`;
  }
  if (container !== undefined) {
    return `container ${container} has the gateway's address or answers for it: stop it, or look ` +
      `at ${link} there: mesos-cni netns exec ${container} -- ip address show ${link}`;
  }
  // The kernel answers on every interface for every address of the machine.
  return owner
    ? `${link} of this agent is on the same wire as ${owner.name} and answers for its addresses ` +
      `too: take ${link} off that wire`
    : `${link} of this agent answers for an address that the agent does not have: ` +
      `sysctl -w net.ipv4.conf.${link}.proxy_arp=0, and look for ${gateway} in ip neighbour show proxy`;
}
