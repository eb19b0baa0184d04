/** The container's own routes. */
import { type Finding, inNetns, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

const DEFAULTS = ["0.0.0.0/0", "::/0"];

export function probeRoutes(scene: Scene): Finding[] {
  return [
    ...([4, 6] as const).flatMap((family) => defaultRoute(scene, family)),
    ...scene.interfaces.flatMap((attached) => otherRoutes(scene, attached)),
  ];
}

/** What to do where the kernel says that there is no route at all. */
export function missingRoute({ interfaces }: Scene): string {
  const given = interfaces.find((one) => wantsDefault(one, 4) || wantsDefault(one, 6));
  if (given) return `${given.checkpoint!.network} gave it a default route: add it again`;
  const networks = interfaces.flatMap(({ checkpoint }) => checkpoint?.network ?? []);
  return networks.length === 0
    ? "add a route"
    : `add "routes": [{ "dst": "0.0.0.0/0" }] to the "ipam" of ${networks.join(" or ")} ` +
      "(mesos-cni lint says so as CNI414), and restart the container";
}

/** The destinations of the container's own routes. */
export function routesText({ inside }: Scene, family: 4 | 6): string {
  const name = family === 4 ? "inet" : "inet6";
  return inside.routes.filter((route) => route.family === name && route.table === "main")
    .map(({ destination }) => destination).join(", ") || "none";
}

function defaultRoute(scene: Scene, family: 4 | 6): Finding[] {
  const wanting = scene.interfaces.find((attached) => wantsDefault(attached, family));
  if (!wanting) return [];
  const name = family === 4 ? "inet" : "inet6";
  const routes = scene.inside.routes.filter((route) =>
    route.family === name && route.table === "main"
  );
  if (routes.some(({ destination, type }) => destination === "default" && type === "unicast")) {
    return [];
  }
  const gateway = wanting.expected.find((one) => one.family === family)?.gateway;
  return [problem(
    "no_default_route",
    ["route", "container"],
    `${scene.name} has no default route${family === 6 ? " for IPv6" : ""}`,
    [
      `${wanting.checkpoint!.network} gave it one${gateway ? ` via ${gateway}` : ""}`,
      `its routes are ${routesText(scene, family)}`,
    ],
    "add it again; nothing outside its own subnet is reached until then",
    gateway === undefined ? undefined : {
      what: `add a default route via ${gateway} on ${wanting.ifName}`,
      commands: [inNetns(
        scene.inside.netns,
        "ip",
        ...family === 6 ? ["-6"] : [],
        "route",
        "add",
        "default",
        "via",
        gateway,
        "dev",
        wanting.ifName,
      )],
    },
  )];
}

function wantsDefault({ checkpoint }: Attached, family: 4 | 6): boolean {
  return checkpoint?.result?.routes.some(({ dst }) => dst === DEFAULTS[family === 4 ? 0 : 1]) ??
    false;
}

function otherRoutes(scene: Scene, { checkpoint, link }: Attached): Finding[] {
  if (!link) return [];
  const missing = (checkpoint?.result?.routes ?? []).filter(({ dst, table }) =>
    !DEFAULTS.includes(dst) && table === undefined &&
    !scene.inside.routes.some(({ destination }) => destination === dst) &&
    // Calico names a route to the block of its own address, and installs one to its gateway instead.
    !isOwn(scene, dst)
  );
  return missing.map(({ dst, gw }) =>
    problem(
      "route_lost",
      ["route", "container"],
      `${scene.name} has lost its route to ${dst}`,
      [`${checkpoint!.network} gave it one${gw ? ` via ${gw}` : ""}, and there is none now`],
      "add it again, or restart the container",
    )
  );
}

/** Whether a route is named after the container's own address, with whichever length of prefix. */
function isOwn({ inside }: Scene, dst: string): boolean {
  const [address] = dst.split("/");
  return inside.addresses.some((one) => one.address === address);
}
