/** The container's own routes, policy rules and source addresses. */
import type { Failure } from "../failure.ts";
import { type Cause, cause, inNetns, isProblem, run } from "../../facts/cause.ts";
import { missingOf } from "../../facts/readers/address.ts";
import { linksOf } from "../../facts/readers/link.ts";
import { routeCauses, routesText, wantsDefault } from "../../facts/readers/route.ts";
import { type Attached, givenTo, type Scene } from "../../facts/scene.ts";
import type { Flow } from "../../netlink/mod.ts";
import type { Evidence } from "../evidence.ts";
import { best, culpritOf, flowOf, leadsText, REFUSING, routeWords } from "./policy.ts";
import { mainRuleGone } from "./agent_routing.ts";
import type { Reader } from "./reader.ts";

/** A packet that leaves the container from an address that is not its own there. */
export const strangeSource: Reader = ({ scene, trail, question }) => {
  const [first] = trail.seen;
  // What comes in by the same link, with whatever ports, is somebody else's.
  if (trail.journey.from !== "container" || !first) return [];
  const { source } = first.packet;
  const given = scene.givenOf(question.family);
  if (given.length === 0 || given.includes(source) || source.startsWith("fe80:")) return [];
  const attached = scene.interfaces.find(({ link }) =>
    link?.index === trail.journey.legs[0]!.stop.link.index
  );
  return wrongSource(scene, source, attached, question.destination);
};

/** What a device below a macvlan sends and gets never passes to those on top of it, by their nature. */
export const deviceBelow: Reader = ({ scene, question, trail }) => {
  const { link } = trail.journey.legs.find(({ stop }) => stop.place === "container")?.stop ?? {};
  const below = link && ["macvlan", "ipvlan"].includes(link.kind ?? "") &&
    scene.host.ownerOf(question.destination) && scene.host.linkAt(link.peerIndex);
  return below
    ? [cause("macvlan_parent", ["link", "container"], {
      container: scene.name,
      device: link.name,
      value: link.kind,
      other: below.name,
      address: question.destination,
    }, [`ip -d link: ${link.name} is a ${link.kind} of ${below.name}`])]
    : [];
};

/** It was seen nowhere, or has arrived: the container's routes lead it, or its answer, away or refuse it. */
export const ownRoutes: Reader = ({ scene, question, failure, token, trail }) => {
  const { before, journey } = trail;
  const isTheirs = before
    ? before.direction === "in" && before.stop.place === "container"
    : journey.from === "container";
  if (!isTheirs) return [];
  const back = trail.sighting?.packet.source;
  const flow = flowOf(question, token, back !== undefined);
  return routesTo(scene, back ?? question.destination, question.family, failure, flow);
};

/** Why the container's own routes do not lead a packet out by its interface. */
export function routesTo(
  scene: Scene,
  address: string,
  family: 4 | 6,
  failure: Failure,
  flow?: Flow,
): Cause[] {
  const { inside, name: container } = scene;
  const attached = scene.attachedOf(family) ?? scene.interfaces[0];
  const given = attached && givenTo(attached, family);
  const source = given?.address;
  const withoutMain = mainRuleGone(scene, inside, family);
  if (withoutMain.length > 0) return withoutMain;
  const errno = failure.kind === "errno" ? failure.errno : undefined;
  const route = inside.routeTo(address, undefined, flow);
  const culprit = culpritOf(inside, address, family, { source, flow });
  const isRefused = culprit !== undefined && (errno === "EACCES" || errno === "EPERM");
  const code = (what: "refuses" | "elsewhere") =>
    `${culprit?.mechanism ?? "route"}_${what}` as const;
  if (typeof route !== "string" && !REFUSING.includes(route.type) && !isRefused) {
    if (!attached?.link || route.link === attached.link.index || route.type === "local") {
      return route.source === undefined || route.type === "local"
        ? []
        : wrongSource(scene, route.source, attached, address);
    }
    if (scene.interfaces.some(({ link }) => link?.index === route.link)) return [];
    const device = inside.linkAt(route.link)?.name ?? "another link";
    return [cause(
      code("elsewhere"),
      [culprit?.mechanism ?? "route", "container"],
      { container, family, address, device, route: culprit?.text },
      [`asked for the route to ${address}: ${leadsText(inside, route)} (table ${route.table})`],
      culprit?.fix,
    )];
  }
  if (culprit) {
    return [cause(
      code("refuses"),
      [culprit.mechanism, "container"],
      { container, family, address, route: culprit.text },
      [`a packet to ${address} ends: ${leadsText(inside, route)}`],
      culprit.fix,
    )];
  }
  const lost = routeCauses(scene).filter(isProblem);
  if (lost.length > 0) return lost;
  if (errno !== "ENETUNREACH" && typeof route !== "string") return [];
  const wanting = scene.interfaces.find((one) => wantsDefault(one, 4) || wantsDefault(one, 6));
  const networks = scene.interfaces.flatMap(({ checkpoint }) => checkpoint?.network ?? []);
  return [cause("no_route", ["route", "container"], {
    container,
    family,
    address,
    network: wanting?.checkpoint?.network ?? (networks.join(" or ") || undefined),
    why: wanting ? "given" : undefined,
  }, [`its routes are ${routesText(scene, family)}`])];
}

/** A route that gives packets a source which is not the container's on that network. */
export function wrongSource(
  scene: Scene,
  address: string,
  attached: Attached | undefined,
  destination: string,
): Cause[] {
  if (!attached?.link) return [];
  const { inside, name: container } = scene;
  const own = attached.expected.map((one) => one.address);
  const family = address.includes(":") ? 6 : 4;
  const wanted = givenTo(attached, family)?.address;
  if (wanted === undefined || own.includes(address)) return [];
  const values = { container, family, address, wanted, device: attached.ifName } as const;
  const entry = best(
    inside.routes.filter((one) =>
      one.source === address && one.table === "main" && one.link === attached.link!.index
    ),
    destination,
  );
  if (!entry) {
    return [cause(
      "address_differs",
      ["address", "container"],
      { ...values, why: "source" },
      [`its addresses: ${inside.addressesOf(attached.link).map((one) => one.address).join(", ")}`],
    )];
  }
  const words = routeWords({ ...entry, source: wanted }, inside);
  return [cause(
    "wrong_source",
    ["route", "container"],
    values,
    [`its route: ${routeWords(entry, inside).join(" ")}`],
    run(inNetns(inside.netns, "ip", "route", "replace", ...words)),
  )];
}

/** What is said of a container is said of a neighbour here. */
export function farCauses({ question, failure, trail, token, scene }: Evidence): Cause[] {
  if (!question.far) return [];
  const { family } = question;
  const { scene: theirs, attached } = question.far;
  const asked = trail.sighting?.packet.source ?? scene.givenOf(family)[0];
  const found = [...linksOf(theirs, attached), ...missingOf(theirs, attached, family)];
  const causes = found.length > 0 || asked === undefined
    ? found
    : routesTo(theirs, asked, family, failure, flowOf(question, token, true));
  return causes.filter(isProblem).map((one) => ({ ...one, place: "neighbour" }));
}
