/** Routes and policy rules, of the container and of the agent, for one packet. */
import { addressBytes, addressText } from "../../base/ip.ts";
import { within } from "../../packetpath/walk.ts";
import type { Case } from "../case.ts";
import { type Finding, inNetns, type Place, problem, shellText } from "../finding.ts";
import type { Trail } from "../place.ts";
import type { Question } from "../questions/question.ts";
import type { NamespaceView } from "../../netlink/view.ts";
import type { Flow, Link } from "../../netlink/mod.ts";
import type { Scene } from "../scene.ts";
import { best, culpritOf, flowOf, REFUSING, routeOf, routeWords } from "./policy.ts";
import { missingRoute, probeRoutes, routesText } from "./route.ts";

/** Why the container's own routes do not lead a packet out by its interface. */
export function routeReasons(
  scene: Scene,
  destination: string,
  family: 4 | 6,
  outcome: string,
  flow?: Flow,
): Finding[] {
  const { inside, name } = scene;
  const attached =
    scene.interfaces.find(({ expected, link }) =>
      link && expected.some((one) => one.family === family)
    ) ??
      scene.interfaces[0];
  const lost = probeRoutes(scene).filter(({ level }) => level === "problem");
  const source = attached?.expected.find((one) => one.family === family)?.address;
  const packet = { source, flow };
  const withoutMain = mainRuleGone(inside, family, name, "container");
  if (withoutMain.length > 0) return withoutMain;
  const route = routeOf(inside, destination, undefined, flow);
  const refused = outcome === "EACCES" || outcome === "EPERM"
    ? culpritOf(inside, destination, family, packet)
    : undefined;
  if (typeof route !== "string" && !REFUSING.includes(route.type) && !refused) {
    if (!attached?.link || route.link === attached.link.index || route.type === "local") {
      return route.source === undefined || route.type === "local"
        ? []
        : wrongSource(scene, route.source, attached, destination);
    }
    if (scene.interfaces.some(({ link }) => link?.index === route.link)) return [];
    const by = inside.linkAt(route.link)?.name ?? "another link";
    const culprit = culpritOf(inside, destination, family, packet);
    return [problem(
      culprit?.mechanism === "rule" ? "rule_elsewhere" : "route_elsewhere",
      [culprit?.mechanism ?? "route", "container"],
      `${name} leads what is for ${destination} by ${by}${culprit ? `: ${culprit.text}` : ""}`,
      [`asked for the route to ${destination}: dev ${by}${
        route.gateway ? ` via ${route.gateway}` : ""
      } (table ${route.table})`],
      culprit ? shellText(inNetns(inside.netns, ...culprit.remove)) : "correct that route",
      culprit && { what: "delete it", commands: [inNetns(inside.netns, ...culprit.remove)] },
    )];
  }
  const culprit = culpritOf(inside, destination, family, packet);
  if (culprit) {
    // What has taken the default route's place leaves none.
    const gateway = attached?.expected.find((one) => one.family === family)?.gateway;
    const isDefault = culprit.mechanism === "route" && /\bdefault\b/.test(culprit.text);
    const commands = [
      inNetns(inside.netns, ...culprit.remove),
      ...isDefault && gateway !== undefined
        ? [
          inNetns(
            inside.netns,
            "ip",
            "route",
            "replace",
            "default",
            "via",
            gateway,
            "dev",
            attached!.ifName,
          ),
        ]
        : [],
    ];
    return [problem(
      culprit.mechanism === "rule" ? "rule_refuses" : "route_refuses",
      [culprit.mechanism, "container"],
      `${name} refuses what is for ${destination} itself: ${culprit.text}`,
      [`a packet to ${destination} ends: ${typeof route === "string" ? route : route.type}`],
      commands.map(shellText).join(" && "),
      { what: "delete it", commands },
    )];
  }
  if (lost.length > 0) return lost;
  if (outcome !== "ENETUNREACH" && typeof route !== "string") return [];
  return [problem(
    "no_route",
    ["route", "container"],
    `${name} has no route to ${destination}`,
    [`its routes are ${routesText(scene, family)}`],
    missingRoute(scene),
  )];
}

/** A route that gives packets a source which is not the container's on that network. */
export function wrongSource(
  scene: Scene,
  source: string,
  attached: Scene["interfaces"][number] | undefined,
  destination: string,
): Finding[] {
  if (!attached?.link) return [];
  const own = attached.expected.map(({ address }) => address);
  const sameFamily = own.filter((one) => one.includes(":") === source.includes(":"));
  if (sameFamily.length === 0 || own.includes(source)) return [];
  const { inside } = scene;
  const entry = best(
    inside.routes.filter((one) =>
      one.source === source && one.table === "main" && one.link === attached.link!.index
    ),
    destination,
  );
  const command = entry && inNetns(
    inside.netns,
    "ip",
    "route",
    "replace",
    ...routeWords({ ...entry, source: sameFamily[0] }, inside),
  );
  return [problem(
    entry ? "wrong_source" : "address_differs",
    [entry ? "route" : "address", "container"],
    `${scene.name} sends from ${source}, which is not the address that it was given on ${attached.ifName} (${
      sameFamily[0]
    })`,
    [
      entry
        ? `its route: ${routeWords(entry, inside).join(" ")}`
        : `its addresses: ${
          inside.addressesOf(attached.link).map(({ address }) => address).join(", ")
        }`,
    ],
    command ? shellText(command) : `see who gave ${attached.ifName} ${source}, and take it off`,
    command && { what: `send from ${sameFamily[0]}`, commands: [command] },
  )];
}

/** Why the agent does not lead a packet on: to outside, or back to the container. */
export function agentRouteReasons(
  scene: Scene,
  question: Question,
  trail: Trail,
  token: number,
  back = false,
): Finding[] {
  const { host } = scene;
  const sighting = trail.seen[trail.last];
  const toContainer = back ||
    (trail.before?.way === "back") === (trail.journey.from === "container") &&
      trail.journey.to !== "neighbour";
  const attached = scene.interfaces.find(({ expected, link }) =>
    link && expected.some((one) => one.family === question.family)
  );
  const address = attached?.expected.find((one) => one.family === question.family)?.address;
  if (!attached || address === undefined) return [];
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
  const route = routeOf(
    host,
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
  if (isRight) return [];
  const withoutMain = mainRuleGone(host, question.family, "the agent", "agent");
  if (withoutMain.length > 0) return withoutMain;
  // A question that was asked of a link that does not exist any more says nothing of routes.
  if (
    typeof route === "string" && ["EINVAL", "EXDEV"].includes(route) && source !== undefined &&
    !culpritOf(host, target, question.family, packet)
  ) return [];
  if (typeof route === "string" && !toContainer) {
    const down = [
      ...downLinks(scene, target, question.family),
      ...withoutAddress(scene, target, question.family),
    ].slice(0, 1);
    if (down.length > 0) return down;
  }
  const culprit = culpritOf(host, target, question.family, packet);
  const place: Place = "agent";
  const leads = typeof route === "string"
    ? route
    : REFUSING.includes(route.type)
    ? route.type
    : `dev ${host.linkAt(route.link)?.name}${route.gateway ? ` via ${route.gateway}` : ""}`;
  const connected = culprit ? undefined : connectedGone(scene, target, question.family);
  if (connected) return [connected];
  const whose = toContainer ? `${target}, which is ${scene.name}` : target;
  return [problem(
    culprit?.mechanism === "rule" ? "host_rule" : toContainer ? "host_route" : "no_host_route",
    [culprit?.mechanism ?? "route", place],
    culprit
      ? `the agent leads what is for ${whose} elsewhere (${leads}): ${culprit.text}`
      : typeof route === "string"
      ? `the agent has no route to ${whose}: ${route}`
      : `the agent leads what is for ${whose} elsewhere: ${leads}`,
    [`asked for the route to ${target}${source ? ` from ${source}` : ""}: ${leads}`],
    culprit ? shellText(culprit.remove) : `add a route to ${target}`,
    culprit && { what: "delete it", commands: [culprit.remove] },
  )];
}

/** Where the kernel says that it has refused a packet for its route. */
const REFUSED_AT = /^ip_error$|^ip6_pkt_(discard|prohibit)/;

/** The kernel refuses a packet whose route seems right: a mark leads it elsewhere. */
export function refusedByMark({ scene, question, trail, session, token }: Case): Finding[] {
  const { host } = scene;
  const last = trail.seen[trail.last];
  const marked = host.rules.some(({ mark }) => mark !== undefined);
  if (!last || !marked) return [];
  if (!session.drops(token).some(({ location }) => REFUSED_AT.test(location ?? ""))) return [];
  const target = last.packet.destination;
  const culprit = culpritOf(host, target, question.family, {
    source: last.packet.source,
    input: trail.before?.stop.link.name,
    isMarked: true,
    flow: flowOf(question, token, trail.before?.way === "back"),
  });
  if (culprit?.mechanism !== "rule") return [];
  return [problem(
    "host_rule",
    ["rule", "agent"],
    `the agent leads what is for ${target} elsewhere: ${culprit.text}`,
    ["the kernel refused the packet for its route, and without a mark its route is another"],
    shellText(culprit.remove),
    { what: "delete that rule", commands: [culprit.remove] },
  )];
}

/** The route to a link's own subnet, which the kernel made with its address and somebody deleted. */
function connectedGone({ host }: Scene, target: string, family: 4 | 6): Finding | undefined {
  const name = family === 4 ? "inet" : "inet6";
  for (
    const { address, prefixLength, link, scope } of host.addresses.filter((one) =>
      one.family === name
    )
  ) {
    const device = host.linkAt(link);
    const isNear = scope === "global" && within(target, `${address}/${prefixLength}`);
    if (!isNear || !device?.flags.includes("UP") || prefixLength >= (family === 4 ? 31 : 127)) {
      continue;
    }
    const has = host.routes.some((route) =>
      route.family === name && route.link === link && route.destination !== "default" &&
      within(target, route.destination) && Number(route.destination.split("/")[1]) >= prefixLength
    );
    if (has) continue;
    const subnet = subnetOf(address, prefixLength);
    const command = [
      "ip",
      "route",
      "add",
      subnet,
      "dev",
      device.name,
      ...family === 4 ? ["src", address] : [],
    ];
    return problem(
      "connected_route_gone",
      ["route", "agent"],
      `the agent has lost its route to ${subnet} on ${device.name}, where ${target} is`,
      [`${device.name} has ${address}/${prefixLength}, and no route to that subnet`],
      shellText(command),
      { what: `add the route to ${subnet} again`, commands: [command] },
    );
  }
  return undefined;
}

/** `10.1.0.0/16` of an address and its prefix length. */
function subnetOf(address: string, prefixLength: number): string {
  const bytes = addressBytes(address).map((byte, i) =>
    byte & (0xff << Math.max(0, Math.min(8, 8 * (i + 1) - prefixLength)))
  );
  return `${addressText(bytes)}/${prefixLength}`;
}

/** Without its rule nobody looks into the main table, where almost all routes are. */
function mainRuleGone(
  { rules, netns }: NamespaceView,
  family: 4 | 6,
  whose: string,
  place: Place,
): Finding[] {
  const own = rules.filter((rule) => rule.family === (family === 4 ? "inet" : "inet6"));
  if (
    own.length === 0 || own.some(({ table, action }) => table === "main" && action === "lookup")
  ) {
    return [];
  }
  const command = inNetns(
    netns,
    "ip",
    ...family === 6 ? ["-6"] : [],
    ...["rule", "add", "priority", "32766", "table", "main"],
  );
  return [problem(
    "main_rule_gone",
    ["rule", place],
    `${whose} has lost the policy rule of the main table: its routes are not looked at`,
    [`ip rule: ${
      own.map(({ priority, table, action }) => `${priority}: ${action} ${table ?? ""}`).join(", ")
    }`],
    shellText(command),
    { what: "add the rule of the main table", commands: [command] },
  )];
}

/** A route to a bridge is one to its ports. */
function leadsBy(by: number | undefined, { index, master }: Link): boolean {
  return by !== undefined && (by === index || by === master);
}

/** A link of the agent that is down and would lead to an address, or led everywhere. */
function downLinks({ host, interfaces }: Scene, target: string, family: 4 | 6): Finding[] {
  const own = new Set(
    interfaces.flatMap(({ ingress, hostEnd }) => [ingress?.index, hostEnd?.index]),
  );
  const down = host.links.filter((link) =>
    !own.has(link.index) && link.kind !== "loopback" && !link.flags.includes("UP") &&
    host.addressesOf(link).some((one) =>
      (one.family === "inet6") === (family === 6) && one.scope === "global"
    )
  );
  const leads =
    down.find((link) =>
      host.addressesOf(link).some(({ address, prefixLength }) =>
        within(target, `${address}/${prefixLength}`)
      )
    ) ?? down[0];
  if (!leads) return [];
  const command = ["ip", "link", "set", leads.name, "up"];
  return [problem(
    "uplink_down",
    ["link", "uplink"],
    `${leads.name}, by which the agent reaches ${target}, is down`,
    [`its flags are ${leads.flags.join(", ")}`, `the agent has no route to ${target}`],
    `${shellText(command)}; routes that went with it must be added again`,
    { what: `bring ${leads.name} up`, commands: [command] },
  )];
}

/** A link of the agent that is up and has addresses of the other family alone, and no route. */
function withoutAddress({ host, interfaces }: Scene, target: string, family: 4 | 6): Finding[] {
  const own = new Set(
    interfaces.flatMap(({ ingress, hostEnd }) => [ingress?.index, hostEnd?.index]),
  );
  const isGlobal = (link: Link) => (ofFamily: 4 | 6) =>
    host.addressesOf(link).some((one) =>
      (one.family === "inet6") === (ofFamily === 6) && one.scope === "global"
    );
  const bare = host.links.find((link) =>
    !own.has(link.index) && link.kind !== "loopback" && link.flags.includes("UP") &&
    link.master === undefined && link.carrier && !isGlobal(link)(family) &&
    isGlobal(link)(family === 4 ? 6 : 4)
  );
  if (!bare) return [];
  return [problem(
    "uplink_address_lost",
    ["address", "uplink"],
    `the agent has no route to ${target}: ${bare.name} is up and has no address of IPv${family}`,
    [
      `its addresses: ${host.addressesOf(bare).map(({ address }) => address).join(", ")}`,
    ],
    `give ${bare.name} its address again; the routes that went with it must be added again`,
  )];
}
