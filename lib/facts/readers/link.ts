/** From the container's end to the agent's: lo, the interface, its carrier, its peer. */
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import { within } from "../../base/ip.ts";
import { type Cause, cause, downCause, inNetns, removing, run } from "../cause.ts";
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

/** The kernel gives it to lo when that comes up, and does not give it back. */
const LOCALHOST = "127.0.0.1";

function loopback({ inside, name }: Scene): Cause[] {
  const lo = inside.links.find(({ kind }) => kind === "loopback");
  if (!lo) return [];
  const { netns } = inside;
  if (lo.flags.includes("UP")) {
    const all = inside.addressesOf(lo);
    if (all.some((one) => within(LOCALHOST, `${one.address}/${one.prefixLength}`))) return [];
    const found = cause(
      "address_lost",
      ["address", "container"],
      { container: name, family: 4, device: lo.name, address: LOCALHOST },
      [`${lo.name} has ${all.map((one) => one.address).join(", ") || "no address"}`],
      run(inNetns(netns, "ip", "address", "add", `${LOCALHOST}/8`, "dev", lo.name)),
    );
    // Who is to have IPv6 alone may have taken it away.
    const hasIpv4 = inside.addresses.some(({ family, link }) =>
      family === "inet" && link !== lo.index
    );
    return [hasIpv4 ? found : { ...found, level: "hint", fix: undefined }];
  }
  // Its name is in what is said.
  return [
    downCause("lo_down", "container", lo, { container: name, device: undefined }, netns),
  ];
}

/** Who takes in what its ports receive; a VRF leaves it to them. */
const TAKERS = ["bridge", "bond", "team", "openvswitch"];

/** The link whose port another one is, and which has what comes in by that. */
export function takerOf(space: Space, { master }: Link): Link | undefined {
  const taker = space.linkAt(master);
  return TAKERS.includes(taker?.kind ?? "") ? taker : undefined;
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
  const taker = takerOf(inside, link);
  // One whose addresses went to the bridge with it is meant so.
  if (taker && ([4, 6] as const).some((family) => inside.globalsOf(link, family).length > 0)) {
    found.push(cause(
      "interface_enslaved",
      ["link", "container"],
      { container, device: ifName, other: taker.name },
      [`ip link: ${ifName} master ${taker.name}, which is a ${taker.kind}`],
      removing(
        `${ifName} from ${taker.name}`,
        inNetns(netns, "ip", "link", "set", ifName, "nomaster"),
      ),
    ));
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
