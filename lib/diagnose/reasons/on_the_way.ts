/** Links of the container that a question goes by. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import { legText } from "../journey.ts";
import type { Trail } from "../place.ts";
import type { Attached, Scene } from "../scene.ts";
import { missing, refused, routesOf, sharedWithAgent } from "./address.ts";
import { bridgeOf, movedGateways } from "./bridge.ts";
import { interfaceReasons } from "./link.ts";
import { withoutPort } from "./way_out.ts";

/** Links on the way that are down, gone, off their bridge, or without their address. */
export function linkReasons(
  { scene, trail, question }: Pick<Case, "scene" | "trail" | "question">,
): Finding[] {
  for (const attached of onTheWay(scene, trail)) {
    const found = [
      ...interfaceReasons(scene, attached),
      ...question.family === 6 ? withoutIpv6(scene, attached) : [],
      ...bridgeOf(scene, attached),
      ...movedGateways(scene, attached, question.family),
      ...sharedWithAgent(scene, attached),
      ...question.family === 6 ? refused(scene, attached) : [],
      ...missing(scene, attached).filter(({ text }) =>
        text.includes(":") === (question.family === 6)
      ),
    ];
    if (found.length > 0) return found;
  }
  const narrow = tooNarrow(trail);
  if (narrow) return [narrow];
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
  if (stop?.place === "uplink") {
    const portless = withoutPort(scene, stop.link);
    if (portless.length > 0) return portless;
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

/** The next link takes no packet as large as the one that was sent: it drops it without a word. */
function tooNarrow({ seen, last, before, after, journey }: Trail): Finding | undefined {
  const sent = seen[last];
  if (!sent || !after || before?.stop.point.name === after.stop.point.name) return undefined;
  const { link, point, place } = after.stop;
  if (sent.length <= link.mtu) return undefined;
  const others = journey.legs.map(({ stop }) => stop).filter(({ point: { name } }) =>
    name !== point.name && name !== before?.stop.point.name
  ).map(({ link }) => link);
  // Where all others take no more either, it is the sender that is the odd one.
  const sender = before?.stop;
  if (sender && others.length > 0 && others.every(({ mtu }) => mtu < sent.length)) {
    const least = Math.min(link.mtu, ...others.map(({ mtu }) => mtu));
    const command = inNetns(
      sender.point.netns,
      ...["ip", "link", "set", sender.link.name, "mtu", String(least)],
    );
    return problem(
      "mtu_too_large",
      ["mtu", sender.place],
      `the MTU of ${sender.point.name} is ${sender.link.mtu}, and that of ${point.name} ${link.mtu}: what is larger is dropped without a word`,
      [`a packet of ${sent.length} bytes was seen ${legText(before)}`],
      shellText(command),
      { what: `set the MTU of ${sender.point.name} to ${least}`, commands: [command] },
    );
  }
  const wanted = before?.stop.link.mtu ?? sent.length;
  const command = inNetns(point.netns, "ip", "link", "set", link.name, "mtu", String(wanted));
  return problem(
    "mtu_too_small",
    ["mtu", place],
    `the MTU of ${point.name} is ${link.mtu}: it drops packets of ${sent.length} bytes, which ${
      before?.stop.point.name ?? "its other end"
    } sends`,
    [`a packet of ${sent.length} bytes was seen ${before ? legText(before) : "before"}`],
    `${shellText(command)}; or set a smaller "mtu" for the network`,
    { what: `set the MTU of ${point.name} to ${wanted}`, commands: [command] },
  );
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
function withoutIpv6(scene: Scene, attached: Attached): Finding[] {
  const { link, bridge, ifName, expected } = attached;
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
      const commands = [
        inNetns(netns, "sysctl", "-w", `net.ipv6.conf.${off}.disable_ipv6=0`),
        ...addressesAgain(attached, place, netns),
      ];
      return [problem(
        "ipv6_disabled",
        ["sysctl", place],
        `IPv6 is switched off on ${whose}: net.ipv6.conf.${off}.disable_ipv6 is 1`,
        [`its addresses are gone with it`],
        commands.map(shellText).join(" && "),
        { what: `switch IPv6 on on ${whose}, and add its addresses again`, commands },
      )];
    }
    if (one.mtu < LEAST_MTU) {
      const commands = [
        inNetns(netns, "ip", "link", "set", one.name, "mtu", "1500"),
        ...addressesAgain(attached, place, netns),
      ];
      return [problem(
        "mtu_too_small",
        ["mtu", place],
        `the MTU of ${whose} is ${one.mtu}, and IPv6 needs ${LEAST_MTU}: the kernel has taken its IPv6 addresses away`,
        [`the MTU of ${whose} is ${one.mtu}`],
        commands.map(shellText).join(" && "),
        { what: `give ${whose} an MTU of 1500, and its addresses again`, commands },
      )];
    }
  }
  return [];
}

/** The IPv6 addresses that a link had, and the container's routes that went with them. */
function addressesAgain(
  attached: Attached,
  place: "container" | "bridge",
  netns: string | undefined,
): string[][] {
  const { expected, ifName, bridge } = attached;
  const device = place === "container" ? ifName : bridge!.name;
  const own = expected.filter(({ family }) => family === 6);
  return [
    ...own.flatMap(({ address, gateway, prefixLength }) => {
      const wanted = place === "container" ? address : gateway;
      return wanted === undefined ? [] : [inNetns(
        netns,
        ...["ip", "address", "replace", `${wanted}/${prefixLength}`, "dev", device, "nodad"],
      )];
    }),
    ...place === "container"
      ? routesOf(attached).filter(([destination]) => destination!.includes(":")).map((route) =>
        inNetns(netns, "ip", "route", "replace", ...route)
      )
      : [],
  ];
}
