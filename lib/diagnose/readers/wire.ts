/** Links that the packet goes by: down, gone, off their bridge, too narrow; and what hooks in there. */
import { type Cause, cause, downCause, inNetns, run, settingCause } from "../../facts/cause.ts";
import { missingOf, refused, sharedWithAgent } from "../../facts/readers/address.ts";
import { bridgeCauses } from "../../facts/readers/bridge.ts";
import { linksOf } from "../../facts/readers/link.ts";
import { routesAgain } from "../../facts/readers/route.ts";
import type { Attached, Scene } from "../../facts/scene.ts";
import type { Evidence } from "../evidence.ts";
import { legText, type Stop } from "../journey.ts";
import type { Trail } from "../place.ts";
import { hookOf, tcCause, tcHit, xdpCause } from "./programs.ts";
import type { Reader } from "./reader.ts";
import { withoutPort } from "./uplink.ts";

/** The container's links that a question goes by, and their addresses. */
export const linkOnTheWay: Reader = ({ scene, trail, question: { family } }) => {
  for (const attached of onTheWay(scene, trail)) {
    const found = [
      ...linksOf(scene, attached),
      ...family === 6 ? withoutIpv6(scene, attached) : [],
      ...bridgeCauses(scene, attached).filter((one) => (one.family ?? family) === family),
      ...sharedWithAgent(scene, attached).filter((one) => (one.family ?? family) === family),
      ...family === 6 ? refused(scene, attached) : [],
      ...missingOf(scene, attached, family),
    ];
    if (found.length > 0) return found;
  }
  return [];
};

/** The interfaces of the container that a question goes by; all, if it is not known. */
function onTheWay({ interfaces }: Scene, { journey }: Trail): Attached[] {
  const found = interfaces.filter(({ link }) =>
    journey.legs.some(({ stop }) =>
      stop.link === link || stop.link.index === link?.index && stop.place === "container"
    )
  );
  return found.length > 0 ? found : interfaces;
}

/** The next link takes no packet as large as the one that was sent: it drops it without a word. */
export const narrowLink: Reader = ({ trail: { sighting, before, after, journey } }) => {
  const bytes = sighting?.length ?? 0;
  const sender = before?.stop;
  if (!after || sender?.name === after.stop.name || bytes <= after.stop.link.mtu) {
    return [];
  }
  const { link, name: device, place } = after.stop;
  const others = journey.legs.map(({ stop }) => stop).filter(({ name }) =>
    name !== device && name !== before?.stop.name
  ).map(({ link }) => link.mtu);
  const told = [`a packet of ${bytes} bytes was seen ${before ? legText(before) : "before"}`];
  const setMtu = ({ netns, link }: Stop, mtu: number) =>
    run(inNetns(netns, "ip", "link", "set", link.name, "mtu", String(mtu)));
  // Where all others take no more either, it is the sender that is the odd one.
  if (sender && others.length > 0 && others.every((mtu) => mtu < bytes)) {
    return [cause(
      "mtu_too_large",
      ["mtu", sender.place],
      {
        device: sender.name,
        value: String(sender.link.mtu),
        other: device,
        mtu: link.mtu,
      },
      told,
      setMtu(sender, Math.min(link.mtu, ...others)),
    )];
  }
  return [cause(
    "mtu_too_small",
    ["mtu", place],
    { device, mtu: link.mtu, bytes, other: sender?.name ?? "its other end" },
    told,
    setMtu(after.stop, sender?.link.mtu ?? bytes),
  )];
};

/** The next link itself, whoever's it is. */
export const nextLink: Reader = (e) => {
  if (!e.trail.after) return [];
  const { link, name: device, place, netns } = e.trail.after.stop;
  if (!link.flags.includes("UP")) {
    return [downCause("link_down", place, link, { device }, netns)];
  }
  const portless = place === "uplink" ? withoutPort(e, link) : [];
  if (portless.length > 0) return portless;
  if (link.carrier || link.operState !== "DOWN") return [];
  return [cause("no_carrier", ["link", place], { device }, [
    { device, flags: link.flags, state: link.operState },
  ])];
};

/** The least that IPv6 needs (RFC 8200). */
const LEAST_MTU = 1280;

/** IPv6 is switched off on a link, or by an MTU that is too small for it: its addresses are gone. */
function withoutIpv6(scene: Scene, attached: Attached): Cause[] {
  const { link, bridge, ifName, expected } = attached;
  if (!expected.some(({ family }) => family === 6)) return [];
  const sides = [
    [scene.inside, link, "container", scene.inside.netns],
    [scene.host, bridge?.link, "bridge", undefined],
  ] as const;
  for (const [view, one, place, netns] of sides) {
    if (!one) continue;
    const device = place === "container" ? `${ifName} of ${scene.name}` : one.name;
    const isOff = (name: string) => view.setting(`ipv6/conf/${name}/disable_ipv6`) === "1";
    const again = ipv6Again(attached, place, netns);
    if (isOff(one.name)) {
      const path = `ipv6/conf/${isOff("all") ? "all" : one.name}/disable_ipv6`;
      const seen = ["its addresses are gone with it"];
      const about = { family: 6, device } as const;
      return [settingCause("ipv6_disabled", place, view, [path, 0], about, seen, ...again)];
    }
    if (one.mtu < LEAST_MTU) {
      return [cause(
        "mtu_too_small",
        ["mtu", place],
        { family: 6, device, mtu: one.mtu, bytes: LEAST_MTU, why: "IPv6" },
        [`the MTU of ${device} is ${one.mtu}`],
        run(inNetns(netns, "ip", "link", "set", one.name, "mtu", "1500"), ...again),
      )];
    }
  }
  return [];
}

/** The IPv6 addresses that a link had, and the container's routes that went with them. */
function ipv6Again(
  attached: Attached,
  place: "container" | "bridge",
  netns: string | undefined,
): string[][] {
  const isInside = place === "container";
  const device = isInside ? attached.ifName : attached.bridge!.name;
  const addresses = attached.expected.flatMap(({ family, address, gateway, prefixLength }) => {
    const wanted = isInside ? address : gateway;
    if (family === 4 || wanted === undefined) return [];
    const words = ["address", "replace", `${wanted}/${prefixLength}`, "dev", device, "nodad"];
    return [inNetns(netns, "ip", ...words)];
  });
  return [...addresses, ...isInside ? routesAgain(attached, netns, 6) : []];
}

/** Programs and queues between the last hop that saw the packet and the first that did not. */
export const hooks: Reader = (e) => hooksAt(e, e.trail);

export function hooksAt({ kernel, grown }: Evidence, { before, after }: Trail): Cause[] {
  const stops = [before?.stop, after?.stop].filter((one) => one !== undefined);
  if (after?.direction === "in" && kernel.xdp(after.stop) !== undefined) {
    return [xdpCause(kernel, after.stop, "nothing else is between these hops")];
  }
  const queue = queueCauses(stops, grown);
  if (queue.length > 0) return queue;
  for (const stop of stops) {
    const why = stop === before?.stop ? "ingress" : "egress";
    const count = kernel.tcx(stop, why);
    if (count === 0) continue;
    const value = `${count} program${count > 1 ? "s" : ""}`;
    return [cause("tcx_not_judged", ["tc", stop.place], { device: stop.link.name, value, why })];
  }
  return [];
}

/** ARP has no ports to be known by: it is seen nowhere, and lost anywhere on the way. */
export const queueAnywhere: Reader = ({ trail, grown }) =>
  trail.last < 0 ? queueCauses(trail.journey.legs.map(({ stop }) => stop), grown) : [];

/** A queue or a filter of tc at one of these stops that dropped meanwhile, or holds what came. */
export function queueCauses(stops: readonly Stop[], grown: Evidence["grown"]): Cause[] {
  return stops.map(hookOf).flatMap((hook) => {
    const hit = tcHit(hook, grown);
    return hit ? [tcCause(hook, hit)] : [];
  }).slice(0, 1);
}
