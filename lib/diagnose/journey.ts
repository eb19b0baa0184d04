/** The hops that a packet of a question passes, there and back: where to watch for it. */
import type { Link } from "../netlink/mod.ts";
import type { Place } from "../facts/cause.ts";
import type { Attached, Scene } from "../facts/scene.ts";
import type { Sighting } from "./observe/tap.ts";

/** A link that is watched. */
export interface Stop {
  /** Unique on the path, such as `eth0 of web`. */
  name: string;
  netns?: string;
  /** The container whose link it is; undefined for the agent's. */
  owner?: string;
  place: Place;
  link: Link;
}

/** A passage by a link. */
export interface Leg {
  stop: Stop;
  direction: "out" | "in";
  /** Whether it is the question or its answer. */
  way: "there" | "back";
}

export interface Journey {
  legs: Leg[];
  /** Who sends the question, and who answers. */
  from: Place;
  to: Place;
}

type Hop = [stop: Stop, direction: "out" | "in"];

/** A journey whose answer comes back by the same links. */
export function journey(from: Place, to: Place, there: readonly (Hop | undefined)[]): Journey {
  const hops = there.filter((one) => one !== undefined);
  const back = hops.toReversed().map((
    [stop, direction],
  ): Hop => [stop, direction === "out" ? "in" : "out"]);
  return {
    from,
    to,
    legs: [
      ...hops.map(([stop, direction]): Leg => ({ stop, direction, way: "there" })),
      ...back.map(([stop, direction]): Leg => ({ stop, direction, way: "back" })),
    ],
  };
}

/** The stops of one container's interface. */
export interface Ends {
  attached: Attached;
  eth: Stop;
  /** The agent's end of a veth; of a macvlan, the device below it. */
  veth?: Stop;
  bridge?: Stop;
}

export function stopOf(link: Link, place: Place, netns?: string, owner?: string): Stop {
  const name = owner === undefined ? link.name : `${link.name} of ${owner}`;
  return { name, link, place, netns, owner };
}

/** @returns undefined for an interface that is gone */
export function endsOf(
  scene: Scene,
  attached: Attached,
  place: Place = "container",
): Ends | undefined {
  const { link, hostEnd, bridge } = attached;
  if (!link) return undefined;
  const below = hostEnd ? undefined : belowOf(scene, link);
  return {
    attached,
    eth: stopOf(link, place, scene.inside.netns, scene.name),
    veth: hostEnd
      ? stopOf(hostEnd, place === "neighbour" ? "neighbour" : "host-veth")
      : below
      ? stopOf(below, "uplink")
      : undefined,
    bridge: hostEnd?.master !== undefined && bridge?.link && hostEnd.master === bridge.link.index
      ? stopOf(bridge.link, "bridge")
      : undefined,
  };
}

/** The device below a macvlan or ipvlan. */
function belowOf({ host }: Scene, link: Link): Link | undefined {
  return link.kind === "macvlan" || link.kind === "ipvlan"
    ? host.linkAt(link.peerIndex)
    : undefined;
}

/** From the container's end to the agent, and the other way. */
function outward({ eth, veth, bridge }: Ends): (Hop | undefined)[] {
  return [[eth, "out"], veth && [veth, "in"], bridge && [bridge, "in"]];
}
function inward({ eth, veth, bridge }: Ends): (Hop | undefined)[] {
  return [bridge && [bridge, "out"], veth && [veth, "out"], [eth, "in"]];
}

/** From the container to the agent itself. */
export function toAgent(ends: Ends): Journey {
  return ends.attached.hostEnd ? journey("container", "agent", outward(ends)) : toWire(ends);
}

/** From a macvlan to its wire. */
export function toWire({ eth, veth }: Ends): Journey {
  return journey("container", "outside", [[eth, "out"], veth && [veth, "out"]]);
}

/** Through the agent to the other side of a link of it. */
export function through(ends: Ends, uplink: Link | undefined): Journey {
  if (!ends.attached.hostEnd) return toWire(ends);
  const last: Hop | undefined = uplink && [stopOf(uplink, "uplink"), "out"];
  return journey("container", "outside", [...outward(ends), last]);
}

/** To an address: the agent's own, or outside by its route. */
export function wayTo({ host }: Scene, ends: Ends, address: string): Journey {
  if (host.ownerOf(address)) return toAgent(ends);
  const { link } = host.wayTo(address);
  return through(ends, link && link.index !== ends.bridge?.link.index ? link : undefined);
}

/** From a link of the agent, as a stranger's packet comes, to the container; the answer may leave by another. */
export function fromOutside(ends: Ends, uplink: Link, back = uplink): Journey {
  const path = journey("outside", "container", [[stopOf(uplink, "uplink"), "in"], ...inward(ends)]);
  const last = path.legs.pop()!;
  return { ...path, legs: [...path.legs, { ...last, stop: stopOf(back, "uplink") }] };
}

/** From a process of the agent. */
export function fromAgent(ends: Ends): Journey {
  return journey("agent", "container", inward(ends));
}

/** From a container to another: over their bridge, or routed by the agent. */
export function between(ends: Ends, other: Ends): Journey {
  const same = ends.bridge && other.bridge && ends.bridge.link.index === other.bridge.link.index;
  return journey("container", "neighbour", [
    [ends.eth, "out"],
    ends.veth && [ends.veth, ends.attached.hostEnd ? "in" : "out"],
    !same && ends.bridge ? [ends.bridge, "in"] : undefined,
    !same && other.bridge ? [other.bridge, "out"] : undefined,
    other.attached.hostEnd && other.veth ? [other.veth, "out"] : undefined,
    [other.eth, "in"],
  ]);
}

/** By a port of the agent back to itself. */
export function hairpin(ends: Ends): Journey {
  return journey("container", "container", [...outward(ends), ...inward(ends)]);
}

/** Whether a sighting is the passage of a leg. */
export function isAt({ stop, direction, way }: Leg, sighting: Sighting, token: number): boolean {
  if (sighting.at !== stop.name || sighting.direction !== direction) return false;
  return goes(sighting.packet, way, token);
}

/** Whether a packet is a probe, or else an answer to one. */
export function goes(packet: Sighting["packet"], way: Leg["way"], token: number): boolean {
  if (packet.protocol === "icmp") {
    return (way === "there") === (packet.flags === 8 || packet.flags === 128);
  }
  if (packet.protocol !== "tcp" && packet.protocol !== "udp") return false;
  return way === "there" ? packet.sourcePort === token : packet.destinationPort === token;
}

/** What a leg is called in a report. */
export function legText({ stop, direction, way }: Leg): string {
  return `${way === "there" ? "" : "the answer "}${direction === "out" ? "leaving" : "arriving"} ${
    direction === "out" ? "by" : "on"
  } ${stop.name}`;
}
