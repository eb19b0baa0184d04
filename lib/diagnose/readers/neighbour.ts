/** Who has a packet, or a question of ARP or neighbour discovery, and does not answer. */
import {
  type Cause,
  cause,
  inNetns,
  type Place,
  type Proof,
  removing,
  settingCause,
} from "../../facts/cause.ts";
import { networkText, within } from "../../base/ip.ts";
import { enslaved } from "../../facts/readers/agent.ts";
import { type Attached, givenTo } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Evidence } from "../evidence.ts";
import { journey as journeyOf, type Leg, type Stop } from "../journey.ts";
import type { Sighting } from "../observe/tap.ts";
import { type Trail, trailAt } from "../place.ts";
import { droppedBy, legacyCauses, ruleAgainst } from "./agent_firewall.ts";
import { routeCauses, wayBack } from "./agent_routing.ts";
import { bridgePortCauses, portCauses } from "./bridge.ts";
import { farCauses } from "./container.ts";
import { routeWords, ruleTo } from "./policy.ts";
import { firstOf, type Reader } from "./reader.ts";
import { noArp, sharedAddresses, wrongGateways } from "./hardware.ts";
import { hooksAt, queueCauses } from "./wire.ts";

/** Nobody answers who has the next hop's address: the question of ARP or ND was lost itself. */
export const unansweredNeighbour: Reader = async (e) => {
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
    // Who has an address himself asks whether it is his alone, which nobody answers.
    const { host, inside } = e.scene;
    const asks = [host, inside].find(({ netns }) => netns === asker?.stop.netns);
    if (!asker || asks?.ownerOf(address)) continue;
    // An answer that was heard on the link may be dropped behind it.
    if (drop) return [await droppedBy(e, drop)];
    const heard = !nobodyHas &&
      about.some(({ at, direction, packet }) =>
        packet.protocol.endsWith("reply") && at === asker.stop.name && direction === "in"
      );
    if (heard) continue;
    const silence = { e, address, asker, about };
    return await firstOf(() => lostOnTheWire(e, asker, about), () => silent(silence));
  }
  return [];
};

/** ARP and neighbour discovery pass the same links as the packet that waits for them. */
function lostOnTheWire(e: Evidence, asker: Leg, about: readonly Sighting[]) {
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
        at === leg.stop.name && direction === leg.direction &&
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
  return firstOf(
    () => isBridged ? bridgePortCauses(e, at) : [],
    () => hooksAt(e, at),
    // What is bridged meets the rules of IP too, and those of iptables-legacy are only counted.
    () => legacyCauses({ ...e, drops: [] }),
  );
}

/** Who asks is whose next step is to send by that link. */
function askerOf(
  { after, before, journey }: Trail,
  requests: readonly Sighting[],
): Leg | undefined {
  const asks = (leg: Leg | undefined) =>
    leg?.direction === "out" &&
    requests.some(({ at, direction }) => at === leg.stop.name && direction === "out");
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

function silent(silence: Silence): Promise<readonly Cause[]> | readonly Cause[] {
  const { e, address, asker } = silence;
  const { scene, question } = e;
  const { netns } = asker.stop;
  if (
    question.topic === "dns" && address === question.destination && !scene.host.ownerOf(address)
  ) {
    return [cause("nameserver_absent", ["dns", "container"], {
      container: scene.name,
      address,
    }, [`nobody on ${asker.stop.name} answers who has ${address}`])];
  }
  // Neighbour discovery is IPv6 and meets its rules, which ARP does not.
  const dropped = question.family === 6 ? legacyCauses({ ...e, drops: [] }) : [];
  if (dropped.length > 0) return dropped;
  const owner = scene.host.ownerOf(address);
  if (netns === scene.inside.netns) {
    return owner ? agentSilent(silence, owner) : othersSilent(silence);
  }
  const isOurs = scene.inside.ownerOf(address) !== undefined ||
    scene.interfaces.some(({ expected }) => expected.some((one) => one.address === address));
  if (isOurs) return containerSilent(silence);
  const taken = enslaved(scene.host, asker.stop.link, [question.family]);
  if (taken.length > 0) return taken;
  const device = asker.stop.link;
  const values = { device: device.name, address, wanted: question.destination };
  return firstOf(
    () => ruleAgainst(e.kernel, device, address),
    () => [cause("neighbour_silent", ["neighbour", "outside"], values, heardText(silence))],
  );
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
function agentSilent(silence: Silence, owner: Link): Promise<readonly Cause[]> {
  const { e, address, about } = silence;
  const { scene, trail } = e;
  const attached = attachedBy(silence);
  const arrived = about.some(({ at, direction, packet }) =>
    packet.protocol.endsWith("request") && direction === "in" &&
    (at === attached.bridge?.name || (!attached.bridge && at === attached.hostEnd?.name))
  );
  if (!arrived) return firstOf(() => portCauses(e, attached, trail), () => hooksAt(e, trail));
  const device = attached.ingress?.name ?? owner.name;
  const values = { address, device, other: owner.name };
  return firstOf(
    () => wayBack(scene).filter(({ code }) => code === "rp_filter"),
    () => queueCauses(trail.journey.legs.map(({ stop }) => stop), e.grown),
    () => arpSettings(silence, scene.host, owner.name, device),
    () => [cause("gateway_silent", ["neighbour", "agent"], values, heardText(silence))],
  );
}

/** The container asks for an address that is none of the agent's. */
function othersSilent(silence: Silence): Promise<readonly Cause[]> {
  const { e, address } = silence;
  const { scene, trail } = e;
  const attached = attachedBy(silence);
  const other = scene.ownerOf(address)?.id;
  const place = other === undefined && trail.journey.to === "outside" ? "outside" : "neighbour";
  const { checkpoint, expected } = attached;
  const subnet = expected.map((one) => networkText(one.address, one.prefixLength))
    .find((one) => within(address, one));
  const isGateway = scene.inside.routes.some(({ gateway }) => gateway === address);
  const values = {
    container: scene.name,
    address,
    other,
    ...other !== undefined || isGateway || subnet === undefined
      ? {}
      : { network: checkpoint?.network, route: subnet },
  };
  return firstOf(
    () => farCauses(e),
    () => wrongGateway(silence, attached),
    () => sharedAddresses(e),
    () => portCauses(e, attached, trail),
    () => answersDeviceBelow(silence),
    () => [cause("neighbour_silent", ["neighbour", place], values, heardText(silence))],
  );
}

/** Who is silent answers the device below a macvlan, which has another hardware address. */
async function answersDeviceBelow(silence: Silence): Promise<Cause[]> {
  const { e: { scene, kernel }, address, asker: { stop: { link } }, about } = silence;
  const { host, name: container } = scene;
  const below = link.kind === "macvlan" ? host.linkAt(link.peerIndex) : undefined;
  const hasLeft = about.some(({ at, direction }) => at === below?.name && direction === "out");
  if (!below || !hasLeft || below.mac === link.mac) return [];
  const family = address.includes(":") ? 6 : 4;
  const own = host.globalsOf(below, family)[0]?.address;
  const answers = await kernel.whoHas(undefined, below, address, own);
  return answers.length === 0 ? [] : [cause("outside_silent", ["neighbour", "outside"], {
    container,
    address,
    device: below.name,
    other: scene.givenOf(family)[0],
    mac: link.mac,
    why: "its own hardware address",
  }, [...heardText(silence), { asked: address, on: below.name, answers }])];
}

/** The agent, or a neighbour, asks for the container. */
function containerSilent(silence: Silence): Promise<readonly Cause[]> {
  const { e, address } = silence;
  const { scene } = e;
  const attached = attachedBy(silence);
  const device = attached.ifName;
  const values = { container: scene.name, address, device };
  return firstOf(
    () => portCauses(e, attached),
    () => sharedAddresses(e),
    () => arpSettings(silence, scene.inside, device, device),
    () => [cause("container_silent", ["neighbour", "container"], values, heardText(silence))],
  );
}

/** The network's own gateway against the one that is asked for. */
function wrongGateway(silence: Silence, attached: Attached): Cause[] {
  const { e: { scene }, address } = silence;
  const { inside } = scene;
  const family = address.includes(":") ? 6 : 4;
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
      culprit.fix,
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
    const path = (key: string) => `ipv4/conf/${name}/${key}`;
    const ignore = Number(view.setting(path("arp_ignore")) ?? 0);
    const code = ignore >= 3 || (ignore > 0 && owner !== device)
      ? "arp_ignore"
      : view.setting(path("arp_filter")) === "1"
      ? "arp_filter"
      : undefined;
    const about = { address, device };
    if (code) return [settingCause(code, place, view, [path(code), 0], about, heardText(silence))];
  }
  return [];
}

/** The packet has arrived at who must answer, and no answer leaves. */
export const receiver: Reader = (e) => {
  const { before, after, journey: { to } } = e.trail;
  const hasArrived = before &&
    (!after || before.way === "there" && after.way === "back" && before.stop.place !== "uplink");
  if (!hasArrived) return [];
  return firstOf(
    () => to === "agent" ? routeCauses(e, true) : [],
    () => to === "neighbour" ? farCauses(e) : [],
    () => wrongGateways(e),
    () => sharedAddresses(e),
  );
};
