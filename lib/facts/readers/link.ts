/** From the container's end to the agent's: lo, the interface, its carrier, its peer. */
import { type Cause, cause, downCause } from "../cause.ts";
import type { Attached, Scene } from "../scene.ts";
import { type Look, saw } from "../look.ts";
import { routesAgain } from "./route.ts";

export function readLinks(scene: Scene): Look {
  const seen = scene.interfaces.map(({ ifName, hostEnd, bridge }) =>
    [ifName, hostEnd?.name, bridge?.name].filter((one) => one !== undefined).join(" – ")
  );
  return saw(["lo", ...seen].join(", "), [
    ...loopback(scene),
    ...scene.interfaces.flatMap((one) => linksOf(scene, one)),
  ]);
}

function loopback({ inside, name }: Scene): Cause[] {
  const lo = inside.links.find(({ kind }) => kind === "loopback");
  if (!lo || lo.flags.includes("UP")) return [];
  // Its name is in what is said.
  return [
    downCause("lo_down", "container", lo, { container: name, device: undefined }, inside.netns),
  ];
}

/** What is wrong with one interface and its other end. */
export function linksOf(scene: Scene, attached: Attached): Cause[] {
  const { inside, name: container } = scene;
  const { ifName, link, hostEnd, checkpoint } = attached;
  if (!link) {
    if (checkpoint?.state === "attaching") return [];
    return [cause("interface_gone", ["link", "container"], { container, device: ifName }, [
      `the namespace has ${inside.links.map((one) => one.name).join(", ")}`,
    ])];
  }
  const found: Cause[] = [];
  const isUp = link.flags.includes("UP");
  const { netns } = inside;
  if (!isUp) {
    const again = routesAgain(attached, netns);
    found.push(downCause("interface_down", "container", link, { container }, netns, ...again));
  }
  if (hostEnd && !hostEnd.flags.includes("UP")) {
    const values = { container, other: ifName, why: "its other end is down" };
    found.push(downCause("no_carrier", "host-veth", hostEnd, values));
  } else if (isUp && !link.carrier) {
    found.push(cause("no_carrier", ["link", "host-veth"], { container, device: ifName }, [
      { device: ifName, flags: link.flags, state: link.operState },
      hostEnd
        ? `${hostEnd.name} on the agent is ${hostEnd.operState}`
        : "its other end is not in the agent's network namespace",
    ]));
  }
  return found;
}
