/** Frames that go to the wrong hardware address, and who answers for addresses that are not his. */
import { within } from "../../base/ip.ts";
import { Pace } from "../../base/pace.ts";
import {
  type Cause,
  cause,
  inNetns,
  type Place,
  type Proof,
  removing,
  run,
  type Values,
} from "../../facts/cause.ts";
import { duplicate } from "../../facts/readers/address.ts";
import { type Attached, bridgeOf, type Scene } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Evidence } from "../evidence.ts";
import type { Kernel } from "../observe/kernel.ts";
import { gatewaysOf } from "../gateways.ts";
import type { Leg } from "../journey.ts";
import type { Trail } from "../place.ts";
import { takeTokens } from "../tokens.ts";
import { routeWords, sideOf } from "./policy.ts";
import type { Reader } from "./reader.ts";

/** Without ARP, a link's own address stands in for everybody's. */
export function noArp(scene: Scene, link: Link, place: Place, netns: string | undefined): Cause {
  return cause(
    "noarp",
    ["link", place],
    { device: link.name, container: netns === undefined ? undefined : scene.name },
    [{ device: link.name, flags: link.flags }],
    run(inNetns(netns, "ip", "link", "set", link.name, "arp", "on")),
  );
}

/** A frame that was sent to the wrong hardware address, by a table entry that is wrong. */
export const wrongHardware: Reader = ({ scene, trail }) => {
  for (const [i, leg] of trail.journey.legs.entries()) {
    const sighting = i < trail.seen.length - 1 ? trail.seen[i] : undefined;
    if (!sighting || leg.direction !== "out") continue;
    const { link, netns, place } = leg.stop;
    // A tunnel without hardware addresses has none to ask for, and a group's address is nobody's (RFC 1112).
    if (link.mac === undefined || isGroup(sighting.to)) continue;
    if (link.flags.includes("NOARP")) return [noArp(scene, link, place, netns)];
    const wanted = receiverMac(trail, i);
    if (sighting.to === undefined || wanted === undefined || wanted === sighting.to) continue;
    return [wrongFrame(scene, leg, sighting.to, wanted, sighting.packet.destination)];
  }
  return [];
};

/** Whether a hardware address is that of many: its lowest bit is on the wire first. */
function isGroup(mac: string | undefined): boolean {
  return mac !== undefined && (parseInt(mac, 16) & 1) === 1;
}

/**
 * What is for an address goes to a hardware address that is not its own.
 *
 * @param view of who sends it, where his table of neighbours can be read
 */
export function wrongMac(
  view: Space | undefined,
  link: Link,
  place: Place,
  about: Values & Record<"address" | "mac" | "wanted", string>,
  ...seen: string[]
): Cause {
  const { address } = about;
  const entry = view?.neighbourNow(address, link);
  return cause(
    "wrong_mac",
    ["neighbour", place],
    { ...about, device: link.name },
    entry ? [...seen, `its neighbour table: ${address} lladdr ${entry.mac} ${entry.state}`] : seen,
    entry && run(inNetns(view!.netns, "ip", "neighbour", "del", address, "dev", link.name)),
  );
}

function wrongFrame(
  scene: Scene,
  { stop: { link, name, netns, place, owner: container } }: Leg,
  mac: string,
  wanted: string,
  destination: string,
): Cause {
  const view = [scene.inside, scene.host].find((one) => one.netns === netns);
  const hop = view?.wayTo(destination).route?.gateway;
  const entries = view?.neighboursNow().filter((one) => one.mac === mac && one.link === link.index);
  const entry = entries?.find(({ address }) => address === hop) ?? entries?.[0];
  const owner = scene.agent.ownerOfMac(mac);
  const routed = view && entry && (routedBy(scene, view, entry.address, owner?.container) ??
    (hop === entry.address ? redirected(scene, view, hop, link, destination, owner) : undefined));
  if (routed) return routed;
  const of = owner?.container === undefined ? "this agent" : `container ${owner.container}`;
  return wrongMac(
    view,
    link,
    netns !== undefined || place === "uplink" ? place : "agent",
    { container, address: entry?.address ?? destination, mac, wanted },
    `the frame leaving by ${name} went to ${mac}; ${wanted} is right`,
    owner ? `${mac} is ${owner.link} of ${of}` : `nobody on this agent has ${mac}`,
  );
}

/** A route by somebody who is who he says, and no gateway: the table of neighbours is right then. */
function routedBy(
  scene: Scene,
  view: Space,
  gateway: string,
  other: string | undefined,
): Cause | undefined {
  const route = view.routes.find((one) => one.gateway === gateway && one.type === "unicast");
  // Who advertises himself as a router (RFC 4861) has the link-local address that he says.
  const isAdvertised = route?.protocol === "ra";
  const isHis = other !== undefined && scene.ownerOf(gateway)?.id === other;
  if (!route || !isHis && !isAdvertised) return undefined;
  const { place, container } = sideOf(scene, view.netns);
  const words = routeWords(route, view);
  const text = words.join(" ");
  const accept = `net.ipv6.conf.${view.linkAt(route.link)?.name}.accept_ra`;
  const commands = [
    ["ip", "route", "del", ...words],
    ...isAdvertised ? [["sysctl", "-w", `${accept}=0`]] : [],
  ];
  return cause(
    "gateway_wrong",
    ["route", place],
    {
      container,
      gateway,
      other: other === undefined ? "none of this agent's containers" : `container ${other}`,
      route: text,
    },
    [isAdvertised ? `ip route: ${text} proto ra, by a router advertisement` : `ip route: ${text}`],
    removing(text, ...commands.map((command) => inNetns(view.netns, ...command))),
  );
}

/** The kernel's way is by a gateway that no route has: an ICMP redirect told it so (RFC 1122, RFC 4861). */
function redirected(
  scene: Scene,
  view: Space,
  gateway: string,
  link: Link,
  address: string,
  owner: ReturnType<Scene["agent"]["ownerOfMac"]>,
): Cause | undefined {
  if (view.routes.some((one) => one.gateway === gateway)) return undefined;
  const family = gateway.includes(":") ? 6 : 4;
  const accept = (of: string) => `net.ipv${family}.conf.${of}.accept_redirects=0`;
  const commands = [
    ["sysctl", "-w", accept("all"), accept(link.name)],
    ["ip", `-${family}`, "route", "flush", "cache"],
  ];
  const { place, container } = sideOf(scene, view.netns);
  return cause(
    "redirected",
    ["route", place],
    { container, family, address, gateway, device: link.name, other: owner?.container },
    [`asked for the route to ${address}: via ${gateway}, which no route has`],
    removing(
      "what the kernel has learned of routes and sizes of packets",
      ...commands.map((command) => inNetns(view.netns, ...command)),
    ),
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

/** Another container on a bridge of the container's that has its hardware address; undefined for each that has not. */
export function* walkTwins(
  { agent, container, name, interfaces }: Scene,
): Generator<Cause | undefined> {
  for (const { link, ifName: device, bridge } of interfaces) {
    const mac = link?.mac;
    if (!container || !bridge || mac === undefined) continue;
    for (const other of agent.containers) {
      const theirs = other.attachments.filter((one) => bridgeOf(one) === bridge.name);
      if (other.id === container.id || theirs.length === 0) continue;
      const twin = theirs.find(({ ifName }) => agent.macsOf(other).get(ifName) === mac)?.ifName;
      const about = { container: name, device, other: other.id, mac, why: "a container" };
      yield twin === undefined
        ? undefined
        : cause("duplicate_mac", ["duplicate", "neighbour"], about, [
          `ip link: ${device} of ${name} ${mac}, ${twin} of ${other.id} too`,
        ]);
      if (twin !== undefined) break;
    }
  }
}

/** The same, while others have their turns: each container's network is entered. */
export async function sharedMacs(scene: Scene): Promise<Cause[]> {
  const pace = new Pace();
  const found: Cause[] = [];
  for (const one of walkTwins(scene)) {
    if (one) found.push(one);
    await pace.rest();
  }
  return found;
}

/** Addresses of the container's that somebody else answers for (RFC 5227), or was given. */
export async function sharedAddresses(
  { scene, kernel }: Pick<Evidence, "scene" | "kernel">,
): Promise<Cause[]> {
  const found = scene.interfaces.flatMap(({ link }) => {
    if (!link?.flags.includes("UP")) return [];
    return addressesOn(scene.inside, link).map(async (address) => {
      const { others, seen } = await answeringAlso(scene.inside, kernel, link, address);
      return others.length === 0 ? [] : [duplicate(scene, address, seen)];
    });
  });
  return (await Promise.all(found)).flat();
}

/** An interface with hundreds of addresses is none of a container's usual ones. */
const MOST_ADDRESSES = 8;

/** The addresses of a link that others on it may have as well. */
export function addressesOn(view: Space, link: Link): string[] {
  return ([4, 6] as const).flatMap((family) => view.globalsOf(link, family))
    .slice(0, MOST_ADDRESSES).map(({ address }) => address);
}

/** Who else answers who has an address of somebody's own: by each interface on one wire he answers himself. */
export async function answeringAlso(
  view: Space,
  kernel: Pick<Kernel, "whoHas">,
  link: Link,
  address: string,
): Promise<{ others: readonly string[]; seen: Proof[] }> {
  const answers = await kernel.whoHas(view.netns, link, address, "nobody");
  const seen = [{ asked: address, on: link.name, answers }, `${link.name} is ${link.mac}`];
  return { others: othersThan(view, answers), seen };
}

function othersThan({ links }: Space, answers: readonly string[]): string[] {
  return answers.filter((mac) => links.every((link) => link.mac !== mac));
}

/** An address of the agent's that somebody beyond a link answers for. */
export async function claimed(
  host: Space,
  kernel: Pick<Kernel, "whoHas">,
  link: Link,
  address: string,
): Promise<Cause[]> {
  const { others, seen } = await answeringAlso(host, kernel, link, address);
  const about = { address, device: link.name, mac: others.join(", ") };
  return others.length === 0
    ? []
    : [cause("duplicate_address", ["duplicate", "outside"], about, seen)];
}

/**
 * An address that several machines answer for. One machine with two interfaces on the wire answers by both who has it;
 * an echo that either of them is given it answers by the one that its route leads by.
 *
 * @param own the address of who asks
 */
export async function severalHave(
  view: Space,
  kernel: Pick<Kernel, "answererOf">,
  link: Link,
  address: string,
  own: string | undefined,
  answers: readonly string[],
): Promise<Cause[]> {
  const macs = othersThan(view, answers);
  if (macs.length < 2 || own === undefined) return [];
  const { first } = takeTokens(macs.length);
  const flow = { protocol: "icmp" as const, source: own, destination: address, port: 0 };
  const by = await Promise.all(
    macs.map((mac, i) => kernel.answererOf(link, mac, { ...flow, token: first + i }, view.netns)),
  );
  if (by[0] && by.every((one) => one === by[0])) return [];
  const about = { address, device: link.name, mac: macs.join(" and "), why: "several" };
  return [cause("duplicate_address", ["duplicate", "outside"], about, [
    { asked: address, on: link.name, answers },
    ...macs.map((mac, i) => `asked ${address} at ${mac}: ${by[i] || "nobody"} answered`),
  ])];
}

/** Somebody else answers for the gateway. */
export const otherGateway: Reader = (e) => {
  const { question: { topic }, failure } = e;
  const isOther = topic === "gateway" && failure.kind === "others_have" &&
    failure.wanted === undefined;
  return isOther ? wrongGateways(e) : [];
};

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
  const isOther = (mac: string) =>
    owner ? !right.includes(mac) : answers.length > 1 && scene.agent.ownerOfMac(mac) !== undefined;
  const wrong = answers.filter(isOther);
  const asked = { asked: gateway, on: ifName, answers };
  const values = { container, gateway, device: ifName };
  const reason = ["neighbour", "container"] as const;
  if (wrong.length > 0) {
    const seen = owner ? [asked, `${owner.name}, whose address it is, has ${owner.mac}`] : [asked];
    return wrong.map((mac) => {
      const { link: other, container: whose } = scene.agent.ownerOfMac(mac) ?? {};
      const why = !other ? "another machine" : whose ? "a container" : owner // The kernel answers on every interface for every address of the machine.
        ? "one wire"
        : "proxy ARP";
      const who = { other, value: whose, wanted: owner?.name };
      return cause("gateway_wrong_mac", reason, { ...values, ...who, mac, why }, seen);
    });
  }
  const several = owner ? [] : await severalHave(inside, kernel, link!, gateway, source, answers);
  if (several.length > 0) return several;
  const cached = inside.neighbourNow(gateway, link!);
  if (cached?.mac === undefined || answers.includes(cached.mac)) return [];
  return [cause(
    "gateway_wrong_mac",
    reason,
    { ...values, mac: cached.mac },
    [`its neighbour table has ${cached.mac} (${cached.state})`, asked],
    run(inNetns(inside.netns, "ip", "neighbour", "del", gateway, "dev", ifName)),
  )];
}
