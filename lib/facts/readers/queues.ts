/** Queues on a container's way that let packets pass, and so slowly or so few that whoever waits gives up. */
import { unlessRefused } from "../../base/unless.ts";
import type { Link } from "../../netlink/mod.ts";
import { filters, type Queue, queues } from "../../netlink/traffic_state.ts";
import { type Cause, cause, inNetns, type Place, removing } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Scene } from "../scene.ts";

/** Bytes in a second: less is a rate in the wrong unit, where it has dropped something. */
const LEAST_RATE = 125_000;
/** No link that leads on has it in ms, and no connection does well with that share of packets lost. */
const MOST_DELAY = 200;
const MOST_LOSS = 0.01;

export function readQueues(scene: Scene): Look {
  const { inside, host, interfaces } = scene;
  const ways = ([4, 6] as const).flatMap((family) => scene.uplink(family)?.link ?? []);
  const ends = interfaces.flatMap(({ hostEnd, bridge }) => [hostEnd, bridge?.link]);
  // What comes from the container may be led through another link, to be limited there (the plugin bandwidth).
  const led = interfaces.flatMap(({ hostEnd }) =>
    (hostEnd && unlessRefused(() => filters(hostEnd.index)) || []).flatMap(({ leads }) => leads)
  ).map((index) => host.linkAt(index));
  const found = [
    ...ofLinks(inside.netns, interfaces.map(({ link }) => link)),
    ...ofLinks(host.netns, [...ends, ...led, ...ways]),
  ];
  return found.length === 0 ? nothing("it has no link here") : saw(
    found.map(({ link, kind }) => `${kind} of ${link.name}`).join(", "),
    found.flatMap((one) => slow(scene, one)),
  );
}

type Found = Omit<Queue, "link"> & { link: Link; netns?: string };

function ofLinks(netns: string | undefined, links: readonly (Link | undefined)[]): Found[] {
  const known = new Map(links.flatMap((link) => link ? [[link.index, link]] : []));
  return (unlessRefused(() => queues(netns)) ?? []).flatMap(({ link: index, ...queue }) => {
    const link = known.get(index);
    return link ? [{ ...queue, link, netns }] : [];
  });
}

/** What is wrong with one queue. */
export function slow(
  scene: Scene,
  { kind, handle, drops, rate, delay, loss, link, netns }: Found,
): Cause[] {
  const place: Place = netns === undefined ? scene.placeOf(link.name) : "container";
  const why = rate !== undefined && rate < LEAST_RATE && drops > 0
    ? `it passes ${rate * 8 / 1000} kbit in a second, and has dropped ${drops} packets`
    : delay !== undefined && delay >= MOST_DELAY
    ? `it keeps each packet for ${Math.round(delay)} ms`
    : loss !== undefined && loss >= MOST_LOSS
    ? `it drops ${Math.round(loss * 100)} of 100 packets`
    : undefined;
  if (why === undefined) return [];
  const value = `${kind} ${handle}`;
  const remove = inNetns(netns, "tc", "qdisc", "del", "dev", link.name, "root");
  // A rate is somebody's who has meant another one.
  const fix = rate === undefined
    ? removing(`the queue ${value} of ${link.name}`, remove)
    : undefined;
  return [
    cause("queue_slow", ["tc", place], { container: scene.name, device: link.name, value, why }, [
      `tc -s qdisc show dev ${link.name}: ${value}`,
    ], fix),
  ];
}
