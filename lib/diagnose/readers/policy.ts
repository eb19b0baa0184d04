/** Which policy rule or route decides over a packet, and how it is taken away. */
import { within } from "../../base/ip.ts";
import { type Fix, inNetns, removing } from "../../facts/cause.ts";
import type { Scene } from "../../facts/scene.ts";
import type { Flow, Route, Rule } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import { IPPROTO } from "../packets/frame.ts";
import type { Question } from "../questions/question.ts";

/** Kinds of routes, and actions of rules, that lead nowhere. */
export const REFUSING = ["blackhole", "unreachable", "prohibit"];

const PROTOCOLS = new Map<number, string>(
  Object.entries(IPPROTO).map(([name, number]) => [number, name]),
);

/** What a policy rule may ask for, besides the destination. */
export interface Packet {
  source?: string;
  /** The link that it came in by; none for one of this namespace's own. */
  input?: string;
  /** Whether it may have been marked. */
  isMarked?: boolean;
  flow?: Flow;
}

/** @param back of the answer to it */
export function flowOf(
  { protocol, family, realPort, port }: Question,
  token: number,
  back: boolean,
): Flow {
  const number = IPPROTO[protocol === "icmp" && family === 6 ? "ipv6-icmp" : protocol];
  const far = realPort ?? port;
  return back
    ? { protocol: number, sourcePort: far, destinationPort: token }
    : { protocol: number, sourcePort: token, destinationPort: far };
}

/** What decides, and how it is taken away. */
export interface Culprit {
  mechanism: "route" | "rule";
  text: string;
  fix: Fix;
}

/** The rule or the route that decides over a destination, if it is not what a network is given. */
export function culpritOf(
  view: Space,
  destination: string,
  family: 4 | 6,
  packet: Packet = {},
): Culprit | undefined {
  const routesIn = ({ table = "", suppressed = -1 }: Rule) =>
    view.routesOf(family, table).filter((one) => prefixLengthOf(one) > suppressed);
  for (const rule of view.rulesOf(family)) {
    if (["local", "main", "default"].includes(rule.table ?? "") && rule.action === "lookup") {
      const route = rule.table === "main" ? best(routesIn(rule), destination) : undefined;
      if (!route) continue;
      const isUsual = route.destination === "default" && !REFUSING.includes(route.type);
      if (isUsual || route.protocol === "kernel") return undefined;
      const words = routeWords(route, view);
      return culprit(view, family, "route", `the route ${words.join(" ")}`, ...words);
    }
    if (!applies(rule, destination, packet)) continue;
    if (REFUSING.includes(rule.action)) return ruleCulprit(view, rule, rule.action, family);
    if (rule.action !== "lookup") continue;
    const route = best(routesIn(rule), destination);
    if (route && route.type !== "throw") return leadingTo(view, rule, route, family);
  }
  return undefined;
}

/** The policy rule by which a route of a table of its own is looked at. */
export function ruleTo(view: Space, route: Route, family: 4 | 6): Culprit | undefined {
  const rule = view.rulesOf(family).find(({ table }) => table === route.table);
  return rule && leadingTo(view, rule, route, family);
}

function leadingTo(view: Space, rule: Rule, route: Route, family: 4 | 6): Culprit {
  const words = routeWords(route, view).join(" ");
  return ruleCulprit(view, rule, `lookup ${rule.table}, whose route is ${words}`, family);
}

function ruleCulprit(view: Space, rule: Rule, what: string, family: 4 | 6): Culprit {
  const priority = String(rule.priority);
  const text = `the policy rule ${priority}: ${ruleWords(rule).join(" ")} ${what}`;
  return culprit(view, family, "rule", text, "priority", priority);
}

function culprit(
  { netns }: Space,
  family: 4 | 6,
  mechanism: Culprit["mechanism"],
  text: string,
  ...words: string[]
): Culprit {
  const of = family === 6 ? ["-6"] : [];
  const remove = inNetns(netns, "ip", ...of, mechanism, "del", ...words);
  return { mechanism, text, fix: removing(text, remove) };
}

function applies(rule: Rule, destination: string, packet: Packet): boolean {
  const { from, to, inputLink, outputLink, mark, inverted } = rule;
  const { source, input, isMarked, flow } = packet;
  const holds = (range: [number, number] | undefined, port: number | undefined) =>
    range === undefined || (port !== undefined && port >= range[0] && port <= range[1]);
  const fits = (to === "all" || within(destination, to)) &&
    (from === "all" || (source !== undefined && within(source, from))) &&
    (inputLink === undefined || inputLink === input ||
      (input === undefined && inputLink === "lo")) &&
    outputLink === undefined &&
    (rule.protocol === undefined || rule.protocol === flow?.protocol) &&
    holds(rule.sourcePorts, flow?.sourcePort) &&
    holds(rule.destinationPorts, flow?.destinationPort);
  if (mark === undefined) return fits !== inverted;
  // A packet may have it or not: most have none.
  return inverted || fits && isMarked === true;
}

function prefixLengthOf({ destination }: Route): number {
  return destination === "default" ? 0 : Number(destination.split("/")[1]);
}

export function best(routes: readonly Route[], destination: string): Route | undefined {
  return routes.filter((route) =>
    route.destination === "default" || within(destination, route.destination)
  )
    .sort((a, b) => prefixLengthOf(b) - prefixLengthOf(a) || (a.metric ?? 0) - (b.metric ?? 0))[0];
}

export function routeWords(route: Route, view: Space): string[] {
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

/** Where a namespace is, and whose; the agent's is nobody's. */
export function sideOf(
  { inside, name }: Scene,
  netns: string | undefined,
): { place: "agent" | "container" | "neighbour"; container?: string } {
  if (netns === undefined) return { place: "agent" };
  return netns === inside.netns
    ? { place: "container", container: name }
    : { place: "neighbour", container: "the neighbour" };
}

/** Where the kernel's answer to who asks for a route leads: by a link, or nowhere. */
export function leadsText(view: Space, route: Route | string): string {
  if (typeof route === "string") return route;
  if (REFUSING.includes(route.type)) return route.type;
  const link = view.linkAt(route.link)?.name ?? "another link";
  return `dev ${link}${route.gateway ? ` via ${route.gateway}` : ""}`;
}

function ruleWords(rule: Rule): string[] {
  const { from, to, inputLink, outputLink, mark, inverted } = rule;
  const range = (name: string, ports?: [number, number]) =>
    ports ? [name, ports[0] === ports[1] ? String(ports[0]) : ports.join("-")] : [];
  return [
    ...inverted ? ["not"] : [],
    "from",
    from,
    ...to === "all" ? [] : ["to", to],
    ...inputLink ? ["iif", inputLink] : [],
    ...outputLink ? ["oif", outputLink] : [],
    ...mark ? ["fwmark", mark] : [],
    ...rule.protocol ? ["ipproto", PROTOCOLS.get(rule.protocol) ?? String(rule.protocol)] : [],
    ...range("sport", rule.sourcePorts),
    ...range("dport", rule.destinationPorts),
  ];
}
