/** The container's own routes. */
import { FAMILIES, networkText, within } from "../../base/ip.ts";
import type { Address, Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import { type Cause, cause, inNetns, run } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import { type Attached, givenTo, type Scene } from "../scene.ts";

const DEFAULTS = ["0.0.0.0/0", "::/0"];
const MOST_TOLD = 8;

export function readRoutes(scene: Scene): Look {
  const given = scene.interfaces.flatMap(({ checkpoint }) => checkpoint?.result?.routes ?? []);
  const causes = routeCauses(scene);
  return given.length === 0 && causes.length === 0
    ? nothing("its networks gave it no route")
    : saw(given.map(({ dst }) => dst).join(", "), causes);
}

export function routeCauses(scene: Scene): Cause[] {
  return [
    ...defaultRoute(scene, 4),
    ...defaultRoute(scene, 6),
    ...scene.interfaces.flatMap((attached) => otherRoutes(scene, attached)),
    ...scene.interfaces.flatMap((attached) => connectedRoutes(scene, attached)),
  ];
}

/** The subnets of a link's addresses to which no table has a route by it: the kernel made one with each address. */
export function subnetsWithoutRoute(view: Space, link: Link, family: 4 | 6): Address[] {
  return view.globalsOf(link, family).filter(({ address, prefixLength, flags }) =>
    prefixLength < (family === 4 ? 31 : 127) && !flags.includes("noprefixroute") &&
    !view.routesOf(family).some((route) =>
      route.link === link.index && route.destination !== "default" &&
      Number(route.destination.split("/")[1]) <= prefixLength && within(address, route.destination)
    )
  );
}

/** Without it answers to neighbours leave by another link. Where they leave by the same, they may well come to them. */
function connectedRoutes({ inside, name }: Scene, { link, expected }: Attached): Cause[] {
  if (!link?.flags.includes("UP")) return [];
  return FAMILIES.flatMap((family) =>
    subnetsWithoutRoute(inside, link, family).filter((one) =>
      expected.some(({ address, gateway }) =>
        address === one.address && gateway !== undefined && inside.wayTo(gateway).link !== link
      )
    ).map(({ address, prefixLength }) => {
      const route = networkText(address, prefixLength);
      const values = { container: name, family, route, device: link.name };
      const seen = [`${link.name} has ${address}/${prefixLength}, and no route to that subnet`];
      const again = inNetns(inside.netns, "ip", "route", "add", route, "dev", link.name);
      const fix = run([...again, ...family === 4 ? ["src", address] : []]);
      return cause("route_lost", ["route", "container"], values, seen, fix);
    })
  );
}

/** The destinations of the container's own routes. */
export function routesText({ inside }: Scene, family: 4 | 6): string {
  const own = inside.routesOf(family, "main");
  const told = own.slice(0, MOST_TOLD).map(({ destination }) => destination);
  const more = own.length - told.length;
  return told.join(", ") + (more > 0 ? ` and ${more} more` : "") || "none";
}

function defaultRoute(scene: Scene, family: 4 | 6): Cause[] {
  const wanting = scene.interfaces.find((attached) => wantsDefault(attached, family));
  if (!wanting) return [];
  const isThere = scene.inside.routesOf(family).some(({ table, destination, type }) =>
    table === "main" && destination === "default" && type === "unicast"
  );
  if (isThere) return [];
  const gateway = givenTo(wanting, family)?.gateway;
  const { netns } = scene.inside;
  const of = family === 6 ? ["-6"] : [];
  return [cause(
    "no_default_route",
    ["route", "container"],
    { container: scene.name, family, gateway, device: wanting.ifName },
    [
      `${wanting.checkpoint!.network} gave it one${gateway ? ` via ${gateway}` : ""}`,
      `its routes are ${routesText(scene, family)}`,
    ],
    gateway === undefined ? undefined : run(
      inNetns(netns, "ip", ...of, "route", "add", "default", "via", gateway, "dev", wanting.ifName),
    ),
  )];
}

export function wantsDefault({ checkpoint }: Attached, family: 4 | 6): boolean {
  return checkpoint?.result?.routes.some(({ dst }) => dst === DEFAULTS[family === 4 ? 0 : 1]) ??
    false;
}

function otherRoutes(scene: Scene, { checkpoint, link }: Attached): Cause[] {
  if (!link) return [];
  const wanted = (checkpoint?.result?.routes ?? []).filter(({ dst, table }) =>
    !DEFAULTS.includes(dst) && table === undefined
  );
  if (wanted.length === 0) return [];
  const has = new Set(scene.inside.routes.map(({ destination }) => destination));
  const own = new Set(scene.inside.addresses.map(({ address }) => address));
  // Calico names a route to the block of its own address, and installs one to its gateway instead.
  return wanted.filter(({ dst }) => !has.has(dst) && !own.has(dst.split("/")[0]!)).map((
    { dst, gw },
  ) =>
    cause("route_lost", ["route", "container"], {
      container: scene.name,
      family: dst.includes(":") ? 6 : 4,
      route: dst,
      gateway: gw,
    }, [`${checkpoint!.network} gave it one${gw ? ` via ${gw}` : ""}, and there is none now`])
  );
}

/** The routes that went with an address or with a link that was down, as commands. */
export function routesAgain(
  attached: Attached,
  netns: string | undefined,
  family?: 4 | 6,
): string[][] {
  return (attached.checkpoint?.result?.routes ?? []).flatMap(({ dst, gw }) => {
    const of = dst.includes(":") ? 6 : 4;
    const via = gw ?? givenTo(attached, of)?.gateway;
    return via === undefined || family !== undefined && of !== family
      ? []
      : [inNetns(netns, "ip", "route", "replace", dst, "via", via, "dev", attached.ifName)];
  });
}
