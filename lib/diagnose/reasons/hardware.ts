/** Frames that go to the wrong hardware address. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, type Place, problem, shellText } from "../finding.ts";
import type { NamespaceView } from "../../netlink/view.ts";
import type { Trail } from "../place.ts";
import type { Scene } from "../scene.ts";
import { routeWords } from "./policy.ts";

/** A frame that was sent to the wrong hardware address, by a table entry that is wrong. */
export function hardwareReasons({ scene, trail, question }: Case): Finding[] {
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
    const wanted = receiverMacs(trail, i);
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
    const routed = view && entry && owner && routedBy(scene, view, entry.address, owner.container);
    if (routed) return [routed];
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

/** A route by somebody who is who he says, and no gateway: the table of neighbours is right then. */
function routedBy(
  scene: Scene,
  view: NamespaceView,
  nextHop: string,
  container: string | undefined,
): Finding | undefined {
  if (container === undefined || scene.ownerOf(nextHop)?.id !== container) return undefined;
  const route = view.routes.find(({ gateway, type }) => gateway === nextHop && type === "unicast");
  if (!route) return undefined;
  const isInside = view === scene.inside;
  const words = routeWords(route, view);
  const command = inNetns(view.netns, "ip", "route", "del", ...words);
  return problem(
    "gateway_wrong",
    ["route", isInside ? "container" : "agent"],
    `${
      isInside ? scene.name : "the agent"
    } has a route by ${nextHop}, which is container ${container} and no gateway: ${
      words.join(" ")
    }`,
    [`ip route: ${words.join(" ")}`],
    shellText(command),
    { what: `delete the route by ${nextHop}`, commands: [command] },
  );
}

/** The hardware addresses that are right for what leaves by a leg. */
function receiverMacs({ journey }: Trail, i: number): string[] | undefined {
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

/** Without ARP, a link's own address stands in for everybody's. */
export function noArp(
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
