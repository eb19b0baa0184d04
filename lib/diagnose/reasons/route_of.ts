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
export function routeReasons(scene: Scene, destination: string, family: 4 | 6, outcome: string): Finding[] {
  const { inside, name } = scene;
  const attached = scene.interfaces.find(({ expected, link }) => link && expected.some((one) => one.family === family)) ??
    scene.interfaces[0];
  const lost = probeRoutes(scene).filter(({ level }) => level === "problem");
  const route = ask(inside, destination);
  if (typeof route !== "string" && !REFUSING.includes(route.type)) {
    if (!attached?.link || route.link === attached.link.index || route.type === "local") return wrongSource(scene, route, attached);
    if (scene.interfaces.some(({ link }) => link?.index === route.link)) return [];
    const by = inside.linkAt(route.link)?.name ?? "another link";
    const culprit = culpritOf(inside, destination, family);
    return [problem(
      culprit?.mechanism === "rule" ? "rule_elsewhere" : "route_elsewhere",
      [culprit?.mechanism ?? "route", "container"],
      `${name} leads what is for ${destination} by ${by}${culprit ? `: ${culprit.text}` : ""}`,
      [`asked for the route to ${destination}: dev ${by}${route.gateway ? ` via ${route.gateway}` : ""} (table ${route.table})`],
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
function wrongSource(scene: Scene, route: Route, attached: Scene["interfaces"][number] | undefined): Finding[] {
  if (!attached?.link || route.source === undefined || route.type === "local") return [];
  const own = attached.expected.map(({ address }) => address);
  if (own.length === 0 || own.includes(route.source)) return [];
  const sameFamily = own.filter((one) => one.includes(":") === route.source!.includes(":"));
  if (sameFamily.length === 0) return [];
  const entry = scene.inside.routes.find((one) => one.source === route.source && one.table === "main");
  const remove = entry && inNetns(
    scene.inside.netns,
    "ip",
    "route",
    "replace",
    ...routeWords({ ...entry, source: sameFamily[0] }, scene.inside),
  );
  return [problem(
    "wrong_source",
    ["route", "container"],
    `${scene.name} sends from ${route.source}, which is not its address on ${attached.ifName} (${sameFamily[0]})`,
    [`its route: ${route.destination} src ${route.source}`],
    remove ? shellText(remove) : `see who gave ${attached.ifName} ${route.source}`,
    remove && { what: `send from ${sameFamily[0]}`, commands: [remove] },
  )];
}

interface Culprit {
  mechanism: "route" | "rule";
  text: string;
  remove: string[];
}

/** The rule or the route that decides over a destination, if it is not what a network is given. */
function culpritOf(view: NamespaceView, destination: string, family: 4 | 6, source?: string, input?: string, mark?: boolean): Culprit | undefined {
  const name = family === 4 ? "inet" : "inet6";
  const flag = family === 6 ? ["-6"] : [];
  const rules = view.rules.filter((rule) => rule.family === name);
  for (const rule of rules) {
    if (["local", "main", "default"].includes(rule.table ?? "") && rule.action === "lookup") {
      if (rule.table !== "main") continue;
      const route = best(view.routes.filter((one) => one.family === name && one.table === "main"), destination);
      if (!route) continue;
      if (REFUSING.includes(route.type) || route.destination !== "default") {
        if (route.protocol === "kernel") return undefined;
        return { mechanism: "route", text: `the route ${routeWords(route, view).join(" ")}`, remove: ["ip", ...flag, "route", "del", ...routeWords(route, view)] };
      }
      return undefined;
    }
    if (!applies(rule, destination, source, input, mark)) continue;
    const text = ruleWords(rule);
    if (REFUSING.includes(rule.action)) return { mechanism: "rule", text: `the policy rule ${rule.priority}: ${text.join(" ")} ${rule.action}`, remove: ["ip", ...flag, "rule", "del", "priority", String(rule.priority)] };
    if (rule.action !== "lookup") continue;
    const route = best(view.routes.filter((one) => one.family === name && one.table === rule.table), destination);
    if (!route || route.type === "throw") continue;
    return {
      mechanism: "rule",
      text: `the policy rule ${rule.priority}: ${text.join(" ")} lookup ${rule.table}, whose route is ${routeWords(route, view).join(" ")}`,
      remove: ["ip", ...flag, "rule", "del", "priority", String(rule.priority)],
    };
  }
  return undefined;
}

function applies({ from, to, inputLink, outputLink, mark, inverted }: Rule, destination: string, source?: string, input?: string, marked?: boolean): boolean {
  const fits = (to === "all" || within(destination, to)) &&
    (from === "all" || (source !== undefined && within(source, from))) &&
    (inputLink === undefined || inputLink === input || (input === undefined && inputLink === "lo")) &&
    outputLink === undefined && (mark === undefined || marked === true);
  return fits !== inverted;
}

function best(routes: readonly Route[], destination: string): Route | undefined {
  const length = ({ destination }: Route) => destination === "default" ? 0 : Number(destination.split("/")[1]);
  return routes.filter((route) => route.destination === "default" || within(destination, route.destination))
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
export function agentRouteReasons(scene: Scene, question: Question, trail: Trail): Finding[] {
  const { host } = scene;
  const sighting = trail.seen[trail.last];
  const toContainer = (trail.before?.way === "back") === (trail.journey.from === "container") && trail.journey.to !== "neighbour";
  const attached = scene.interfaces.find(({ expected, link }) => link && expected.some((one) => one.family === question.family));
  const address = attached?.expected.find((one) => one.family === question.family)?.address;
  if (!attached || address === undefined) return [];
  const target = toContainer ? address : question.realDestination && trail.journey.from !== "container" ? question.realDestination : question.destination;
  const source = toContainer ? undefined : sighting?.packet.source;
  const input = trail.before?.direction === "in" ? trail.before.stop.link : undefined;
  const route = ask(host, target, source !== undefined && input ? { source, inputLink: input.index } : undefined);
  const wanted = toContainer ? attached.ingress?.index : undefined;
  const isRight = typeof route !== "string" && !REFUSING.includes(route.type) &&
    (wanted === undefined ? trail.after === undefined || route.link === trail.after.stop.link.index : route.link === wanted);
  if (isRight) return [];
  // A question that was asked of a link that does not exist any more says nothing of routes.
  if (typeof route === "string" && ["EINVAL", "EXDEV"].includes(route) && source !== undefined && !culpritOf(host, target, question.family, source, input?.name, true)) return [];
  const culprit = culpritOf(host, target, question.family, source ?? question.destination, input?.name, true);
  const place: Place = "agent";
  const leads = typeof route === "string" ? route : REFUSING.includes(route.type) ? route.type : `dev ${host.linkAt(route.link)?.name}${route.gateway ? ` via ${route.gateway}` : ""}`;
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

function ask(view: NamespaceView, destination: string, from?: { source: string; inputLink: number }): Route | string {
  try {
    return view.netlink.routeTo(destination, from);
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
}
