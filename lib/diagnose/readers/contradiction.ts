/** A finding that speaks against what was seen is none, however well it would explain the rest. */
import { CONNECTED } from "../failure.ts";
import type { Cause } from "../../facts/cause.ts";
import type { Code } from "../../facts/words.ts";
import type { Evidence } from "../evidence.ts";

type Test = (cause: Cause, evidence: Evidence) => boolean;

/** Nothing passes a link in one of these states; the packet was seen there, and behind it. */
const wasPassed: Test = ({ device, place }, { trail: { journey, seen } }) =>
  journey.legs.some(({ stop, way }, i) =>
    stop.link.name === device && stop.place === place &&
    seen[i] !== undefined &&
    journey.legs.some((later, k) =>
      k > i && later.way === way && later.stop !== stop && seen[k] !== undefined
    )
  );

/** Nobody answers who has an address; an answer was seen where it was asked. */
const wasAnswered: Test = ({ address }, { about }) => {
  const all = address === undefined ? [] : about(address);
  return all.some((reply) =>
    reply.packet.protocol.endsWith("reply") && reply.direction === "in" &&
    all.some(({ at, direction, packet }) =>
      packet.protocol.endsWith("request") && direction === "out" && at === reply.at
    )
  );
};

/** A port is led nowhere, or an answer does not come; it was seen led there, or come. */
const wasTranslated: Test = (_, { sightings, question: { realDestination, realPort } }) =>
  realDestination !== undefined &&
  sightings.some(({ packet }) =>
    packet.destination === realDestination && packet.destinationPort === realPort
  );
const cameBack: Test = (_, { trail: { journey, seen } }) =>
  journey.legs.some(({ way, stop }, i) =>
    way === "back" && stop.place === "uplink" && seen[i] !== undefined
  );

/** A value of the kernel's that is named has it no more, or never had. */
const isOtherwise: Test = ({ seen, place }, { scene }) =>
  seen.some((proof) => {
    if (typeof proof === "string" || !("setting" in proof)) return false;
    const view = place === "container" ? scene.inside : scene.host;
    const now = view.setting(proof.setting.replace(/^net\./, "").replaceAll(".", "/"));
    return now !== undefined && now !== proof.value.split(" ")[0];
  });

/** What lets nothing out of the container; it was seen leaving. */
const hasLeft: Test = ({ place }, { trail: { journey, seen } }) =>
  place === "container" && journey.from === "container" && journey.to !== "container" &&
  seen[0] !== undefined;

/** An address is not there; it was seen leaving with it. */
const hasSource: Test = ({ address }, { trail: { journey, seen } }) =>
  journey.from === "container" && seen[0]?.packet.source === address?.split("/")[0];

const AGAINST: readonly [Test, readonly Code[]][] = [
  [wasPassed, [
    ...["interface_down", "interface_gone", "no_carrier", "link_down", "uplink_down"] as const,
    ...["bridge_down", "bridge_gone"] as const,
  ]],
  [wasAnswered, [
    ...["neighbour_silent", "container_silent", "gateway_silent", "nameserver_absent"] as const,
    "next_hop_silent",
  ]],
  [hasSource, ["address_lost"]],
  [hasLeft, ["no_route", "no_default_route", "route_refuses", "rule_refuses", "route_elsewhere"]],
  // Who did not get the packet has refused nothing.
  [({ place }, { trail }) => place !== "container" && trail.last < 0, ["nobody_listens"]],
  [wasTranslated, ["dnat_missing", "dnat_elsewhere"]],
  [cameBack, ["outside_silent", "masquerade_gone", "pmtu_black_hole"]],
  [({ mac, wanted }) => mac !== undefined && wanted?.split(", ").includes(mac) === true, [
    "wrong_mac",
  ]],
  [({ mtu, bytes }) => mtu !== undefined && bytes !== undefined && bytes <= mtu, ["mtu_too_small"]],
];

/**
 * What takes all packets explains no loss of some, nor of what follows a handshake: there the lost packet
 * itself must show its cause.
 */
const takesAll: Test = ({ code, mechanism, seen }, { share, failure }) =>
  (share !== undefined || CONNECTED.includes(failure.kind)) &&
  // Of several next hops one is taken by some packets.
  code !== "next_hop_silent" && code !== "next_hop_swallows" &&
  !["listener", "tc", "mtu", "iptables-legacy", "conntrack"].includes(mechanism) &&
  !seen.some((one) => typeof one === "object" && ("rule" in one || "drop" in one));

/** Whether the evidence itself speaks against a cause. */
export function isContradicted(cause: Cause, evidence: Evidence): boolean {
  return takesAll(cause, evidence) || isOtherwise(cause, evidence) ||
    AGAINST.some(([test, codes]) => codes.includes(cause.code) && test(cause, evidence));
}
