/** What hooks in at a link: programs of XDP and tcx, queues and filters of tc, and how each is taken off. */
import { type Cause, cause, inNetns, type Place, removing } from "../../facts/cause.ts";
import type { Counter } from "../observe/counters.ts";
import type { Kernel } from "../observe/kernel.ts";
import type { Stop } from "../journey.ts";

/** A link where something may hook in. */
export interface Hook {
  device: string;
  place: Place;
  netns?: string;
  /** Absent for a link that is not on the way. */
  stop?: Stop;
}

export function hookOf(stop: Stop): Hook {
  return { device: stop.link.name, place: stop.place, netns: stop.netns, stop };
}

/** What of tc at a link has counted a drop, or holds what came. */
export function tcHit(
  { device, netns }: Hook,
  grown: readonly Counter[],
  kinds = ["qdisc", "filter"],
) {
  const all = grown.filter((one) => one.kind === "qdisc" || one.kind === "filter")
    .filter((one) => one.netns === netns && one.device === device && kinds.includes(one.kind));
  const dropping = all.filter((one) => one.kind === "filter" || one.held === undefined);
  // Of queues within queues each counts, and the innermost, which is told last, has done it.
  return dropping.findLast(({ kind }) => kind === "qdisc") ?? dropping[0] ?? all[0];
}

/**
 * A queue or a filter of tc that drops, or holds what came.
 *
 * @param at where it is, if nothing has counted
 */
export function tcCause(
  { device, place, netns }: Hook,
  hit: ReturnType<typeof tcHit>,
  at: "root" | "ingress" | "egress" = "root",
): Cause {
  if (hit?.kind === "qdisc" && hit.held !== undefined) {
    return cause("queue_holds", ["tc", place], { device, value: hit.name, bytes: hit.held }, [
      `when the packet was given up, ${hit.held} waited in ${hit.name} of ${device}`,
    ]);
  }
  const other = hit?.kind ?? (at === "root" ? "qdisc" : "filter");
  const own = hit?.kind === "filter" ? hit.direction : hit?.type ?? at;
  const where = ["ingress", "egress", "clsact"].includes(own) ? own : "root";
  const queue = hit ? `queue ${hit.name}` : "queue";
  const [value, removes] = other === "qdisc" ? [queue, `the ${queue} of ${device}`] : [
    `filter at the ${where}${hit ? ` (${hit.name})` : ""}`,
    `all filters at the ${where} of ${device}`,
  ];
  return cause(
    "tc_drop",
    ["tc", place],
    { device, value, other },
    hit ? ["its counter of drops grew while the packet was lost"] : [],
    removing(removes, inNetns(netns, "tc", other, "del", "dev", device, where)),
  );
}

/** @param seen that it is the only thing between two hops, where the kernel does not say so itself */
export function xdpCause(kernel: Kernel, stop: Stop, ...seen: readonly string[]): Cause {
  const { netns, link, place } = stop;
  const program = kernel.xdp(stop);
  const held = kernel.bpfLinks().find((one) => one.kind === "xdp" && one.program === program);
  return cause(
    "xdp_drop",
    ["xdp", place],
    {
      device: link.name,
      value: program === undefined ? undefined : `program ${program}`,
      why: held && heldText(held.id),
    },
    seen,
    held ? undefined : removing(
      `the program of XDP on ${link.name}`,
      inNetns(netns, "ip", "link", "set", "dev", link.name, "xdp", "off"),
    ),
  );
}

/** A program of tcx, which tc neither shows nor deletes. */
export function tcxCause(kernel: Kernel, { link, place }: Stop, direction: string): Cause {
  const held = kernel.bpfLinks().find((one) => one.kind === "tcx" && one.device === link.index);
  return cause("tc_drop", ["tc", place], {
    device: link.name,
    value: `program of tcx at the ${direction}`,
    why: held ? heldText(held.id) : `see whose it is: bpftool net show dev ${link.name}`,
  });
}

function heldText(link: number): string {
  return `another program put it there and holds it: see which (bpftool link show id ${link}), and look at it; by hand it is taken off by bpftool link detach id ${link}`;
}
