/** Links of the container that a question goes by. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import type { Trail } from "../place.ts";
import type { Attached, Scene } from "../scene.ts";
import { missing } from "./address.ts";
import { bridgeOf } from "./bridge.ts";
import { interfaceReasons } from "./link.ts";

/** Links on the way that are down, gone, off their bridge, or without their address. */
export function linkReasons(
  { scene, trail, question }: Pick<Case, "scene" | "trail" | "question">,
): Finding[] {
  for (const attached of onTheWay(scene, trail)) {
    const found = [
      ...interfaceReasons(scene, attached),
      ...question.family === 6 ? withoutIpv6(scene, attached) : [],
      ...bridgeOf(scene, attached),
      ...missing(scene, attached).filter(({ text }) =>
        text.includes(":") === (question.family === 6)
      ),
    ];
    if (found.length > 0) return found;
  }
  const stop = trail.after?.stop;
  if (stop && !stop.link.flags.includes("UP")) {
    const netns = stop.point.netns;
    const command = inNetns(netns, "ip", "link", "set", stop.link.name, "up");
    return [problem(
      "link_down",
      ["link", stop.place],
      `${stop.point.name} is down`,
      [`its flags are ${stop.link.flags.join(", ")}`],
      shellText(command),
      { what: `bring ${stop.point.name} up`, commands: [command] },
    )];
  }
  if (stop && !stop.link.carrier && stop.link.operState === "DOWN") {
    return [problem(
      "no_carrier",
      ["link", stop.place],
      `${stop.point.name} has no carrier`,
      [`its state is ${stop.link.operState}`],
      "look at its other end, or its ports",
    )];
  }
  return [];
}

/** The interfaces of the container that a question goes by; all, if it is not known. */
function onTheWay({ interfaces }: Scene, { journey }: Trail): Attached[] {
  const found = interfaces.filter(({ link }) =>
    journey.legs.some(({ stop }) =>
      stop.link === link || stop.link.index === link?.index && stop.place === "container"
    )
  );
  return found.length > 0 ? found : interfaces;
}

/** The least that IPv6 needs (RFC 8200). */
const LEAST_MTU = 1280;

/** IPv6 is switched off on a link, or by an MTU that is too small for it: its addresses are gone. */
function withoutIpv6(scene: Scene, { link, bridge, ifName, expected }: Attached): Finding[] {
  if (!expected.some(({ family }) => family === 6)) return [];
  const sides = [
    [scene.inside, link, "container", scene.inside.netns],
    [scene.host, bridge?.link, "bridge", undefined],
  ] as const;
  for (const [view, one, place, netns] of sides) {
    if (!one) continue;
    const whose = place === "container" ? `${ifName} of ${scene.name}` : one.name;
    const off = ["all", one.name].find((name) =>
      view.setting(`ipv6/conf/${name}/disable_ipv6`) === "1" &&
      (name !== "all" || view.setting(`ipv6/conf/${one.name}/disable_ipv6`) === "1")
    );
    if (off !== undefined) {
      const command = inNetns(netns, "sysctl", "-w", `net.ipv6.conf.${off}.disable_ipv6=0`);
      return [problem(
        "ipv6_disabled",
        ["sysctl", place],
        `IPv6 is switched off on ${whose}: net.ipv6.conf.${off}.disable_ipv6 is 1`,
        [`its addresses are gone with it`],
        `${shellText(command)}, and add its addresses again`,
        { what: `switch IPv6 on on ${whose}`, commands: [command] },
      )];
    }
    if (one.mtu < LEAST_MTU) {
      const command = inNetns(netns, "ip", "link", "set", one.name, "mtu", "1500");
      return [problem(
        "mtu_too_small",
        ["mtu", place],
        `the MTU of ${whose} is ${one.mtu}, and IPv6 needs ${LEAST_MTU}: the kernel has taken its IPv6 addresses away`,
        [`the MTU of ${whose} is ${one.mtu}`],
        `${shellText(command)}, and add its addresses again`,
        { what: `give ${whose} an MTU of 1500`, commands: [command] },
      )];
    }
  }
  return [];
}
