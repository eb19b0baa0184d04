/** Routes and policy rules, of the container and of the agent, for one packet. */
import { SystemError } from "../../kernel/libc.ts";
import type { Route, Rule } from "../../netlink/mod.ts";
import type { NamespaceView } from "../../netns/view.ts";
import { within } from "../../packetpath/walk.ts";
import { type Finding, inNetns, type Place, problem, shellText } from "../finding.ts";
import type { Trail } from "../place.ts";
import type { Question } from "../questions/question.ts";
import type { Scene } from "../scene.ts";
import { missingRoute, probeRoutes, routesText } from "./route.ts";

const REFUSING = ["blackhole", "unreachable", "prohibit"];

/** Why the container's own routes do not lead a packet out by its interface. */
export function routeReasons(
  scene: Scene,
  destination: string,
  family: 4 | 6,
  outcome: string,
): Finding[] {
  const { inside, name } = scene;
  const attached =
    scene.interfaces.find(({ expected, link }) =>
      link && expected.some((one) => one.family === family)
    ) ??
      scene.interfaces[0];
  const lost = probeRoutes(scene).filter(({ level }) => level === "problem");
  const route = ask(inside, destination);
  if (typeof route !== "string" && !REFUSING.includes(route.type)) {
    if (!attached?.link || route.link === attached.link.index || route.type === "local") {
      return route.source === undefined || route.type === "local"
        ? []
        : wrongSource(scene, route.source, attached, destination);
    }
    if (scene.interfaces.some(({ link }) => link?.index === route.link)) return [];
    const by = inside.linkAt(route.link)?.name ?? "another link";
    const culprit = culpritOf(inside, destination, family);
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
  const culprit = culpritOf(inside, destination, family);
  if (culprit) {
    return [problem(
      culprit.mechanism === "rule" ? "rule_refuses" : "route_refuses",
      [culprit.mechanism, "container"],
      `${name} refuses what is for ${destination} itself: ${culprit.text}`,
      [`a packet to ${destination} ends: ${typeof route === "string" ? route : route.type}`],
      shellText(inNetns(inside.netns, ...culprit.remove)),
      { what: "delete it", commands: [inNetns(inside.netns, ...culprit.remove)] },
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

interface Culprit {
  mechanism: "route" | "rule";
  text: string;
  remove: string[];
}

/** The rule or the route that decides over a destination, if it is not what a network is given. */
function culpritOf(
  view: NamespaceView,
  destination: string,
  family: 4 | 6,
  source?: string,
  input?: string,
  mark?: boolean,
): Culprit | undefined {
  const name = family === 4 ? "inet" : "inet6";
  const flag = family === 6 ? ["-6"] : [];
  const rules = view.rules.filter((rule) => rule.family === name);
  for (const rule of rules) {
    if (["local", "main", "default"].includes(rule.table ?? "") && rule.action === "lookup") {
      if (rule.table !== "main") continue;
      const route = best(
        view.routes.filter((one) => one.family === name && one.table === "main"),
        destination,
      );
      if (!route) continue;
      if (REFUSING.includes(route.type) || route.destination !== "default") {
        if (route.protocol === "kernel") return undefined;
        return {
          mechanism: "route",
          text: `the route ${routeWords(route, view).join(" ")}`,
          remove: ["ip", ...flag, "route", "del", ...routeWords(route, view)],
        };
      }
      return undefined;
    }
    if (!applies(rule, destination, source, input, mark)) continue;
    const text = ruleWords(rule);
    if (REFUSING.includes(rule.action)) {
      return {
        mechanism: "rule",
        text: `the policy rule ${rule.priority}: ${text.join(" ")} ${rule.action}`,
        remove: ["ip", ...flag, "rule", "del", "priority", String(rule.priority)],
      };
    }
    if (rule.action !== "lookup") continue;
    const route = best(
      view.routes.filter((one) => one.family === name && one.table === rule.table),
      destination,
    );
    if (!route || route.type === "throw") continue;
    return {
      mechanism: "rule",
      text: `the policy rule ${rule.priority}: ${
        text.join(" ")
      } lookup ${rule.table}, whose route is ${routeWords(route, view).join(" ")}`,
      remove: ["ip", ...flag, "rule", "del", "priority", String(rule.priority)],
    };
  }
  return undefined;
}

function applies(
  { from, to, inputLink, outputLink, mark, inverted }: Rule,
  destination: string,
  source?: string,
  input?: string,
  marked?: boolean,
): boolean {
  const fits = (to === "all" || within(destination, to)) &&
    (from === "all" || (source !== undefined && within(source, from))) &&
    (inputLink === undefined || inputLink === input ||
      (input === undefined && inputLink === "lo")) &&
    outputLink === undefined && (mark === undefined || marked === true);
  return fits !== inverted;
}

function best(routes: readonly Route[], destination: string): Route | undefined {
  const length = ({ destination }: Route) =>
    destination === "default" ? 0 : Number(destination.split("/")[1]);
  return routes.filter((route) =>
    route.destination === "default" || within(destination, route.destination)
  )
    .sort((a, b) => length(b) - length(a) || (a.metric ?? 0) - (b.metric ?? 0))[0];
}

function routeWords(route: Route, view: NamespaceView): string[] {
  const link = view.linkAt(route.link)?.name;
  return [
    ...route.type === "unicast" ? [] : [route.type],
    route.destination,
    ...route.gateway ? ["via", route.gateway] : [],
    ...link ? ["dev", link] : [],
    ...route.table === "main" ? [] : ["table", route.table],
    ...route.source ? ["src", route.source] : [],
    ...route.metric ? ["metric", String(route.metric)] : [],
  ];
}

function ruleWords({ from, to, inputLink, outputLink, mark, inverted }: Rule): string[] {
  return [
    ...inverted ? ["not"] : [],
    "from",
    from,
    ...to === "all" ? [] : ["to", to],
    ...inputLink ? ["iif", inputLink] : [],
    ...outputLink ? ["oif", outputLink] : [],
    ...mark ? ["fwmark", mark] : [],
  ];
}

/** Why the agent does not lead a packet on: to outside, or back to the container. */
export function agentRouteReasons(
  scene: Scene,
  question: Question,
  trail: Trail,
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
  const target = toContainer
    ? address
    : question.realDestination && trail.journey.from !== "container"
    ? question.realDestination
    : question.destination;
  const source = toContainer ? undefined : sighting?.packet.source;
  const input = trail.before?.direction === "in" ? trail.before.stop.link : undefined;
  const route = ask(
    host,
    target,
    source !== undefined && input ? { source, inputLink: input.index } : undefined,
  );
  const wanted = toContainer ? attached.ingress?.index : undefined;
  const isLocal = !toContainer && typeof route !== "string" && route.type === "local" &&
    (trail.journey.to === "agent" || host.ownerOf(target) !== undefined);
  const isRight = isLocal || typeof route !== "string" && !REFUSING.includes(route.type) &&
      (wanted === undefined
        ? trail.after?.direction !== "out" || route.link === trail.after.stop.link.index
        : route.link === wanted);
  if (isRight) return [];
  // A question that was asked of a link that does not exist any more says nothing of routes.
  if (
    typeof route === "string" && ["EINVAL", "EXDEV"].includes(route) && source !== undefined &&
    !culpritOf(host, target, question.family, source, input?.name, true)
  ) return [];
  if (typeof route === "string" && !toContainer) {
    const down = downLinks(scene, target, question.family);
    if (down.length > 0) return down;
  }
  const culprit = culpritOf(
    host,
    target,
    question.family,
    source ?? question.destination,
    input?.name,
    true,
  );
  const place: Place = "agent";
  const leads = typeof route === "string"
    ? route
    : REFUSING.includes(route.type)
    ? route.type
    : `dev ${host.linkAt(route.link)?.name}${route.gateway ? ` via ${route.gateway}` : ""}`;
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

function ask(
  view: NamespaceView,
  destination: string,
  from?: { source: string; inputLink: number },
): Route | string {
  try {
    return view.netlink.routeTo(destination, from);
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
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
