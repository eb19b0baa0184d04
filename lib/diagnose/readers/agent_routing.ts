/** The agent as a router: whether it forwards, and where its routes and rules lead. */
import { familyOfKnown, networkText, within } from "../../base/ip.ts";
import { type Cause, cause, downCause, inNetns, removing, run } from "../../facts/cause.ts";
import { forwardingOff, rangesOfNetworks } from "../../facts/readers/agent.ts";
import { subnetsWithoutRoute } from "../../facts/readers/route.ts";
import { givenTo, type Scene } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Evidence } from "../evidence.ts";
import { isStrict, rpFilter } from "./kernel_drop.ts";
import { best, culpritOf, flowOf, leadsText, REFUSING, sideOf } from "./policy.ts";
import type { Reader } from "./reader.ts";

/** The agent has the packet and does not lead it on. */
export const agentRoutes: Reader = (e) => {
  const { before } = e.trail;
  const isOnIt = before?.direction === "in" &&
    ["bridge", "host-veth", "uplink"].includes(before.stop.place);
  return isOnIt ? notLedOn(e) : [];
};

function notLedOn(e: Evidence): Cause[] {
  const { scene, trail: { before, journey } } = e;
  const forwards = journey.to !== "agent" && journey.from !== "agent";
  return [
    ...forwards ? forwarding(e, before?.stop.link.name) : [],
    ...routeCauses(e),
    ...before?.way === "back" || journey.to === "container" ? wayBack(scene) : [],
  ].slice(0, 1);
}

/** It was seen nowhere, and the container has not sent it: what else may take it is behind the route. */
export const agentsOwnRoutes: Reader = (e) =>
  !e.trail.before && e.trail.journey.from !== "container" ? notLedOn(e) : [];

/** @param input the link that the packet came in by */
function forwarding({ scene, question: { family } }: Evidence, input?: string): Cause[] {
  const off = forwardingOff(scene.host, family);
  if (off.length > 0 || input === undefined) return off;
  const place = scene.placeOf(input);
  return forwardingOff(scene.host, family, input).map((one) => ({ ...one, place }));
}

/** Why the agent does not lead a packet on: to outside, or back to the container. */
export function routeCauses(e: Evidence, back = false): Cause[] {
  const { scene, question, trail, token } = e;
  const { sighting } = trail;
  const { host } = scene;
  const { family } = question;
  const toContainer = back ||
    (trail.before?.way === "back") === (trail.journey.from === "container") &&
      trail.journey.to !== "neighbour";
  const attached = scene.attachedOf(family);
  if (!attached) return [];
  const { address } = givenTo(attached, family)!;
  const isAnswer = trail.before?.way === "back" && !toContainer && sighting !== undefined;
  const target = toContainer
    ? address
    : isAnswer
    ? sighting.packet.destination
    : question.realDestination && trail.journey.from !== "container"
    ? question.realDestination
    : question.destination;
  const source = toContainer ? undefined : sighting?.packet.source;
  const input = trail.before?.direction === "in" ? trail.before.stop.link : undefined;
  const packet = {
    source: source ?? question.destination,
    input: input?.name,
    isMarked: true,
    flow: flowOf(question, token, (trail.before?.way === "back") || back),
  };
  const route = host.routeTo(
    target,
    source !== undefined && input ? { source, inputLink: input.index } : undefined,
    packet.flow,
  );
  const wanted = toContainer ? attached.ingress?.index : undefined;
  const isLocal = !toContainer && typeof route !== "string" && route.type === "local" &&
    (trail.journey.to === "agent" || host.ownerOf(target) !== undefined);
  const isRight = isLocal || typeof route !== "string" && !REFUSING.includes(route.type) &&
      (wanted === undefined
        ? trail.after?.direction !== "out" || leadsBy(route.link, trail.after.stop.link)
        : route.link === wanted);
  if (isRight && !isRefusedByRoute(e)) return [];
  const withoutMain = mainRuleGone(scene, host, family);
  if (withoutMain.length > 0) return withoutMain;
  const culprit = culpritOf(host, target, family, packet);
  // Without a mark it would be led right.
  if (isRight && culprit?.mechanism !== "rule") return [];
  // A question that was asked of a link that does not exist any more says nothing of routes.
  const isStale = typeof route === "string" && ["EINVAL", "EXDEV"].includes(route) &&
    source !== undefined && !culprit;
  if (isStale) return [];
  if (typeof route === "string" && !toContainer) {
    const down = [
      ...downLinks(scene, target, family),
      ...withoutAddress(scene, target, family),
    ].slice(0, 1);
    if (down.length > 0) return down;
  }
  const by = typeof route === "string" ? undefined : host.linkAt(route.link);
  const connected = culprit
    ? undefined
    : by && subnetTaken(scene, by, target) || connectedGone(scene, target, family) ||
      wireRouteGone(scene, target, family);
  if (connected) return [connected];
  const leads = leadsText(host, route);
  const hasDefault = host.routesOf(family).some(({ destination }) => destination === "default");
  const isBare = typeof route === "string" && !toContainer && !culprit && !hasDefault;
  return [cause(
    culprit?.mechanism === "rule" ? "host_rule" : toContainer ? "host_route" : "no_host_route",
    [culprit?.mechanism ?? "route", "agent"],
    {
      family,
      address: target,
      container: toContainer ? scene.name : undefined,
      route: culprit?.text,
      why: isRight ? undefined : isBare ? "no default" : leads,
    },
    [`asked for the route to ${target}${source ? ` from ${source}` : ""}: ${leads}`],
    culprit?.fix,
  )];
}

/** Where the kernel says that it has refused a packet for its route. */
const REFUSED_AT = ["ip_error", "ip6_pkt_discard", "ip6_pkt_prohibit"];

/** The kernel refuses a packet whose route may seem right: a mark leads it elsewhere. */
function isRefusedByRoute({ scene, drops }: Evidence): boolean {
  return scene.host.rules.some(({ mark }) => mark !== undefined) &&
    drops.some(({ location }) => REFUSED_AT.some((one) => location?.startsWith(one)));
}

/** An empty bridge, which is no way out, has the subnet of who is asked. */
export function subnetTaken(scene: Scene, link: Link, target: string): Cause | undefined {
  const { host } = scene;
  const family = familyOfKnown(target);
  const isEmpty = link.kind === "bridge" && !host.links.some(({ master }) => master === link.index);
  const taker = isEmpty && scene.uplink(family)?.link.index !== link.index &&
    host.globalsOf(link, family).find((one) =>
      within(target, `${one.address}/${one.prefixLength}`)
    );
  // One of the agent's own networks that has no container now is there by right.
  const isMeant = rangesOfNetworks(scene.agent).some(({ subnet }) => within(target, subnet));
  if (!taker || isMeant) return undefined;
  const others = host.routesOf(family, "main").filter((one) =>
    one.link !== link.index && one.type === "unicast"
  );
  const value = `${taker.address}/${taker.prefixLength}`;
  return cause(
    "subnet_taken",
    ["route", "agent"],
    { family, address: target, device: link.name, value },
    [`ip address: ${value} on ${link.name}, a bridge that no link is a port of`],
    best(others, target)
      ? removing(`${value} from ${link.name}`, ["ip", "address", "del", value, "dev", link.name])
      : undefined,
  );
}

/** The route to a link's own subnet, which the kernel made with its address and somebody deleted. */
function connectedGone({ host }: Scene, target: string, family: 4 | 6): Cause | undefined {
  for (const device of host.links.filter(({ flags }) => flags.includes("UP"))) {
    for (const { address, prefixLength } of subnetsWithoutRoute(host, device, family)) {
      if (!within(target, `${address}/${prefixLength}`)) continue;
      const subnet = networkText(address, prefixLength);
      const source = family === 4 ? ["src", address] : [];
      return cause(
        "connected_route_gone",
        ["route", "agent"],
        { family, route: subnet, device: device.name, address: target },
        [`${device.name} has ${address}/${prefixLength}, and no route to that subnet`],
        run(["ip", "route", "add", subnet, "dev", device.name, ...source]),
      );
    }
  }
  return undefined;
}

/** The route to a container on a wire of its own, which its plugin made beside the wire and somebody deleted. */
function wireRouteGone(
  { host, interfaces }: Scene,
  target: string,
  family: 4 | 6,
): Cause | undefined {
  const device = interfaces.find(({ bridge, routedByAgent, expected }) =>
    routedByAgent && !bridge && expected.some(({ address }) => address === target)
  )?.ingress;
  const isThere = host.routesOf(family).some(({ link, destination }) =>
    link === device?.index && destination !== "default" && within(target, destination)
  );
  if (!device?.flags.includes("UP") || isThere) return undefined;
  const of = family === 6 ? ["-6"] : [];
  const scope = family === 4 ? ["scope", "host"] : [];
  return cause(
    "connected_route_gone",
    ["route", "agent"],
    { family, route: target, device: device.name },
    [`its plugin gave ${target} to the other end of ${device.name}, and no route leads there`],
    run(["ip", ...of, "route", "add", target, "dev", device.name, ...scope]),
  );
}

/** Without its rule nobody looks into the main table, where almost all routes are. */
export function mainRuleGone(scene: Scene, view: Space, family: 4 | 6): Cause[] {
  const own = view.rulesOf(family);
  const isThere = own.some(({ table, action }) => table === "main" && action === "lookup");
  if (own.length === 0 || isThere) return [];
  const of = family === 6 ? ["-6"] : [];
  const { place, container } = sideOf(scene, view.netns);
  return [cause(
    "main_rule_gone",
    ["rule", place],
    { family, container },
    [`ip rule: ${
      own.slice(0, 8).map(({ priority, table, action }) => `${priority}: ${action} ${table ?? ""}`)
        .join(", ")
    }`],
    run(inNetns(view.netns, "ip", ...of, "rule", "add", "priority", "32766", "table", "main")),
  )];
}

/** A route to a bridge is one to its ports. */
function leadsBy(by: number | undefined, { index, master }: Link): boolean {
  return by !== undefined && (by === index || by === master);
}

/** The agent's links that are none of the container's. */
function ofOthers({ host, interfaces }: Scene): Link[] {
  const own = new Set(
    interfaces.flatMap(({ ingress, hostEnd }) => [ingress?.index, hostEnd?.index]),
  );
  return host.links.filter((link) => !own.has(link.index) && link.kind !== "loopback");
}

/** A link of the agent that is down and would lead to an address, or led everywhere. */
function downLinks(scene: Scene, target: string, family: 4 | 6): Cause[] {
  const { host } = scene;
  const down = ofOthers(scene).filter((link) =>
    !link.flags.includes("UP") && host.globalsOf(link, family).length > 0
  );
  const leads = down.find((link) =>
    host.globalsOf(link, family).some(({ address, prefixLength }) =>
      within(target, `${address}/${prefixLength}`)
    )
  );
  const link = leads ?? down[0];
  return link ? [downCause("uplink_down", "uplink", link, { family, address: target })] : [];
}

/** A link of the agent that is up and has addresses of the other family alone, and no route. */
function withoutAddress(scene: Scene, target: string, family: 4 | 6): Cause[] {
  const { host } = scene;
  const bare = ofOthers(scene).find((link) =>
    link.flags.includes("UP") && link.master === undefined && link.carrier &&
    host.globalsOf(link, family).length === 0 &&
    host.globalsOf(link, family === 4 ? 6 : 4).length > 0
  );
  if (!bare) return [];
  return [cause("uplink_address_lost", ["address", "uplink"], {
    family,
    address: target,
    device: bare.name,
  }, [`its addresses: ${host.addressesOf(bare).map(({ address }) => address).join(", ")}`])];
}

/** The agent's route to the container leads elsewhere, and its reverse-path filter may go by that. */
export function wayBack(scene: Scene): Cause[] {
  const { host, name: container } = scene;
  return scene.interfaces.flatMap(({ routedByAgent, ingress, expected }) =>
    !routedByAgent || !ingress ? [] : expected.flatMap(({ family, address }) => {
      const { name: device, index } = ingress;
      const { link } = host.wayTo(address);
      if (link?.index === index) return [];
      const uplink = scene.uplink(family);
      if (uplink && isFiltered(host, ingress, address, uplink.agentAddress)) {
        return [rpFilter(host, device, scene.placeOf(device), address)];
      }
      const values = { family, container, address, why: link ? `to ${link.name}` : "nowhere" };
      const seen = `the container is behind ${device}`;
      return [cause("host_route", ["route", "agent"], values, [seen])];
    })
  );
}

/** Whether the filter is strict on a device, and the kernel says it takes no such packet there. */
function isFiltered(host: Space, input: Link, source: string, destination: string): boolean {
  if (source.includes(":") || !isStrict(host, input.name)) return false;
  // EXDEV is the filter's own word for it; newer kernels say EINVAL.
  const route = host.routeTo(destination, { source, inputLink: input.index });
  return route === "EXDEV" || route === "EINVAL";
}
