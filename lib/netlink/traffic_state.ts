/** Queues and filters of traffic control, with what they dropped (linux/rtnetlink.h, linux/pkt_sched.h). */
import { Attributes, eachAttribute, opened, structure, view } from "./message.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./socket.ts";
import { header as trafficHeader } from "./traffic_changes.ts";
import { IFINFOMSG_BYTES, IFLA, RTM, TCMSG_BYTES } from "./numbers.ts";

const TCA_KIND = 1, TCA_OPTIONS = 2, TCA_STATS2 = 7;
const TCA_TBF_PARMS = 1;
const TCA_STATS_BASIC = 1, TCA_STATS_QUEUE = 3;
const TCA_ACT_KIND = 1, TCA_ACT_OPTIONS = 2, TCA_ACT_STATS = 4;
/** TC_ACT_SHOT and TC_ACT_STOLEN (linux/pkt_cls.h). */
const TAKEN = [2, 4];
/** TCA_EGRESS_REDIR and TCA_INGRESS_REDIR (linux/tc_act/tc_mirred.h). */
const REDIRECTED = [1, 3];

/** Where the actions of a kind of filter are, within its options. */
const ACTIONS: Readonly<Record<string, number>> = {
  basic: 3,
  bpf: 1,
  cgroup: 1,
  flow: 9,
  flower: 3,
  fw: 4,
  matchall: 2,
  route: 6,
  u32: 7,
};
/** The structure that a kind of action begins with is its first attribute of this type. */
const PARMS = 2;

/** Parents by which filters are asked for: TC_H_ROOT's default, and the hooks of clsact. */
export const HOOKS = { root: 0, ingress: 0xfffffff2, egress: 0xfffffff3 } as const;

export type Queue = ReturnType<typeof queues>[number];

/** All queues of a namespace. @throws {SystemError} */
export function queues(netns?: string) {
  using socket = new NetlinkSocket(NETLINK_ROUTE, netns);
  return socket.dump(RTM.GETQDISC, [new Uint8Array(TCMSG_BYTES)], "list queues", ({ body }) => {
    const [fixed, attributes] = opened(body, TCMSG_BYTES);
    return {
      link: fixed.getInt32(4, true),
      /** `tbf`, `clsact`, `noqueue`, … */
      kind: attributes.text(TCA_KIND) ?? "?",
      /** `8001:`, as `tc` writes it. */
      handle: `${(fixed.getUint32(8, true) >>> 16).toString(16)}:`,
      drops: queueIn(attributes)?.getUint32(8, true) ?? 0,
      /** Packets that wait in it and its classes. */
      held: queueIn(attributes)?.getUint32(0, true) ?? 0,
      ...pacing(attributes.text(TCA_KIND), attributes.bytes(TCA_OPTIONS)),
    };
  });
}

/** What a queue does to packets that it passes: bytes in a second at most; ms of delay; the share that it loses. */
interface Pacing {
  rate?: number;
  delay?: number;
  loss?: number;
}

function pacing(kind: string | undefined, options: Uint8Array = new Uint8Array()): Pacing {
  if (kind === "tbf") {
    // tc_tbf_qopt begins with the rate, a tc_ratespec.
    const parms = new Attributes(options).bytes(TCA_TBF_PARMS);
    return parms && parms.length >= 12 ? { rate: view(parms).getUint32(8, true) } : {};
  }
  if (kind !== "netem" || options.length < 12) return {};
  // tc_netem_qopt: the latency in ticks of 64 ns, a limit, and the loss of 2^32.
  const parms = view(options);
  return {
    delay: parms.getUint32(0, true) * 64e-6,
    loss: parms.getUint32(8, true) / 2 ** 32,
  };
}

/** `struct gnet_stats_queue`, where this kernel tells it: what waits, its bytes, drops, … */
function queueIn(attributes: Attributes): DataView | undefined {
  const queue = attributes.nested(TCA_STATS2).bytes(TCA_STATS_QUEUE);
  return queue && queue.length >= 12 ? view(queue) : undefined;
}

export type Filter = ReturnType<typeof filters>[number];

/** The filters of a link. @throws {SystemError} */
export function filters(link: number, netns?: string) {
  using socket = new NetlinkSocket(NETLINK_ROUTE, netns);
  return Object.entries(HOOKS).flatMap(([hook, parent]) => {
    const header = trafficHeader(link, 0, parent);
    return socket.dump(RTM.GETTFILTER, [header], "list filters", ({ body }) => {
      const [fixed, attributes] = opened(body, TCMSG_BYTES);
      const kind = attributes.text(TCA_KIND) ?? "?";
      const actions = actionsIn(attributes.nested(TCA_OPTIONS).bytes(ACTIONS[kind] ?? -1));
      return {
        link,
        hook: hook as keyof typeof HOOKS,
        kind,
        priority: fixed.getUint32(16, true) >>> 16,
        /** What its actions do: `gact`, `mirred`, … */
        actions: actions.map((one) => one.kind),
        /** Links that its actions lead packets to. */
        leads: actions.flatMap(({ to }) => to ?? []),
        /** Packets that its actions dropped, or took away. */
        taken: actions.reduce((sum, { taken }) => sum + taken, 0),
      };
    });
  });
}

function actionsIn(list: Uint8Array | undefined): { kind: string; taken: number; to?: number }[] {
  return [...eachAttribute(list ?? new Uint8Array())].map(([, one]) => {
    const action = new Attributes(one);
    const kind = action.text(TCA_ACT_KIND) ?? "?";
    const parms = [...eachAttribute(action.bytes(TCA_ACT_OPTIONS) ?? new Uint8Array())]
      .find(([type]) => type === PARMS)?.[1];
    const stats = action.nested(TCA_ACT_STATS);
    const basic = stats.bytes(TCA_STATS_BASIC);
    const queue = stats.bytes(TCA_STATS_QUEUE);
    // tc_gen: index, capab, action, refcnt, bindcnt; of mirred what it does follows, and with which link.
    const verdict = parms && parms.length >= 12 ? view(parms).getInt32(8, true) : 0;
    const [mirred, to] = kind === "mirred" && parms && parms.length >= 28
      ? [view(parms).getInt32(20, true), view(parms).getUint32(24, true)]
      : [0];
    const takesAll = TAKEN.includes(verdict) && kind !== "mirred" || REDIRECTED.includes(mirred);
    const passed = basic && basic.length >= 12 ? view(basic).getUint32(8, true) : 0;
    const dropped = queue && queue.length >= 12 ? view(queue).getUint32(8, true) : 0;
    // What it redirects is gone from here, though it is not counted as dropped.
    return { kind, to, taken: takesAll ? passed : dropped };
  });
}

/** The number of the program of XDP at a link; undefined for none. @throws {SystemError} */
export function xdpProgram(link: number, netns?: string): number | undefined {
  using socket = new NetlinkSocket(NETLINK_ROUTE, netns);
  const header = structure(IFINFOMSG_BYTES, [4, link, 4]);
  const [answer] = socket.request(RTM.GETLINK, 0, [header], "read a link");
  return opened(answer!.body, IFINFOMSG_BYTES)[1].nested(IFLA.XDP).u32(IFLA.XDP_PROG_ID);
}
