/** The largest packet that the container sends, against what the way takes. */
import type { Link } from "../../netlink/mod.ts";
import { type Finding, inNetns, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeMtu(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) => tooLarge(scene, attached));
}

function tooLarge(scene: Scene, attached: Attached): Finding[] {
  const { link, hostEnd, bridge, ifName } = attached;
  if (!link) return [];
  const uplink = attached.routedByAgent ? scene.uplink(4) ?? scene.uplink(6) : undefined;
  const way: [Link | undefined, string][] = [
    [hostEnd, "the veth's other end"],
    [bridge?.link, "the bridge"],
    [uplink?.link, "the agent's way out"],
  ];
  const narrow = way.find(([hop]) => hop !== undefined && hop.mtu < link.mtu);
  if (!narrow) return [];
  const [hop, what] = narrow as [Link, string];
  // A route of the container's may already keep packets small enough.
  const routed = scene.inside.routes.some((route) =>
    route.destination === "default" && route.mtu !== undefined && route.mtu <= hop.mtu
  );
  if (routed) return [];
  return [problem(
    "mtu_too_large",
    ["mtu", "container"],
    `${ifName} of ${scene.name} sends packets larger than ${hop.name} takes`,
    [`the MTU of ${ifName} is ${link.mtu}, of ${hop.name} (${what}) ${hop.mtu}`],
    `set "mtu": ${hop.mtu} in the network's config for new containers. Until then small packets ` +
      "pass and large ones hang wherever ICMP is filtered",
    {
      what: `set the MTU of ${ifName} to ${hop.mtu}`,
      commands: [inNetns(scene.inside.netns, "ip", "link", "set", ifName, "mtu", String(hop.mtu))],
    },
  )];
}
