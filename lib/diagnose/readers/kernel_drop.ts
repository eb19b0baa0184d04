/** What the kernel itself says of a drop (enum skb_drop_reason). */
import { type Cause, cause, inNetns, type Place, removing, run } from "../../facts/cause.ts";
import { conntrackFull } from "../../facts/readers/agent.ts";
import { portState } from "../../facts/readers/bridge.ts";
import type { Evidence } from "../evidence.ts";
import type { Stop } from "../journey.ts";
import type { Drop } from "../observe/drops.ts";
import { tcxCause, xdpCause } from "./programs.ts";
import type { Reader } from "./reader.ts";

/** A drop, with where on the way it was. */
interface Placed extends Drop {
  stop?: Stop;
  place: Place;
  netns?: string;
}

export const kernelReason: Reader = {
  name: "the kernel's own reason",
  applies: ({ drops }) => drops.length > 0,
  read(e) {
    for (const drop of e.drops) {
      const found = READERS[drop.reason]?.(e, placed(e, drop));
      if (found) {
        const { reason, device, location } = drop;
        return [{ ...found, seen: [{ drop: reason, device, location }, ...found.seen] }];
      }
    }
    return [];
  },
};

/** Two namespaces have links of one name: the one where the packet was lost is meant. */
function placed({ scene, trail }: Evidence, drop: Drop): Placed {
  const { before, after, journey } = trail;
  const stop = [after, before, ...journey.legs].find((leg) => leg?.stop.link.name === drop.device)
    ?.stop;
  const place = stop?.place ?? scene.placeOf(drop.device);
  const netns = stop ? stop.point.netns : place === "container" ? scene.inside.netns : undefined;
  return { ...drop, stop, place, netns };
}

type ReasonReader = (e: Evidence, drop: Placed) => Cause | undefined;

const READERS: Readonly<Record<string, ReasonReader>> = {
  IP_RPFILTER({ scene }, { device, netns, place, packet }) {
    return rpFilter(
      device,
      netns,
      place,
      packet?.source,
      netns === undefined ? scene.host : scene.inside,
      netns === undefined ? undefined : scene.name,
    );
  },
  XDP: ({ kernel }, { stop }) => stop && xdpCause(kernel, stop, []),
  TC_INGRESS: (e, drop) => ofFilter(e, drop, "ingress"),
  TC_EGRESS: (e, drop) => ofFilter(e, drop, "egress"),
  QDISC_DROP: ofQueue,
  QDISC_OVERLIMIT: ofQueue,
  QDISC_CONGESTED: ofQueue,
  FQ_BAND_LIMIT: ofQueue,
  FQ_FLOW_LIMIT: ofQueue,
  BRIDGE_INGRESS_STP_STATE({ scene }, { device, stop }) {
    const bridge = scene.host.linkAt(stop?.link.master ?? scene.host.link(device)?.master);
    return portState(device, bridge?.name ?? "the bridge", "not forwarding", "host-veth");
  },
  SOCKET_BACKLOG: ofBacklog,
  TCP_LISTEN_OVERFLOW: ofBacklog,
  IP_CSUM: ofChecksum,
  TCP_CSUM: ofChecksum,
  UDP_CSUM: ofChecksum,
  ICMP_CSUM: ofChecksum,
  SKB_CSUM: ofChecksum,
  PKT_TOO_BIG: (_, { device, place }) =>
    cause("mtu_too_small", ["mtu", place], { device, why: "the kernel's word" }),
  NETFILTER_DROP({ scene }) {
    const count = Number(scene.host.setting("netfilter/nf_conntrack_count") ?? 0);
    const most = Number(scene.host.setting("netfilter/nf_conntrack_max") ?? 0);
    return most > 0 && count >= most * 0.9 ? conntrackFull(scene.host, count, most) : undefined;
  },
};

/** @param view the namespace of the device, whose settings decide */
export function rpFilter(
  device: string,
  netns: string | undefined,
  place: Place,
  source: string | undefined,
  view: Evidence["scene"]["host"],
  container?: string,
): Cause {
  const strict =
    ["all", device].filter((one) => view.setting(`ipv4/conf/${one}/rp_filter`) === "1").at(-1) ??
      device;
  const { route, link } = source === undefined ? {} : view.wayTo(source);
  const why = route ? `to ${link?.name ?? "another link"}` : "nowhere";
  const setting = `net.ipv4.conf.${strict}.rp_filter`;
  return cause(
    "rp_filter",
    ["sysctl", place],
    { container, family: 4, device, address: source, setting, why },
    [{ setting, value: "1 (strict)" }],
    run(inNetns(netns, "sysctl", "-w", `${setting}=2`)),
  );
}

function ofFilter(
  { kernel }: Evidence,
  { device, stop, netns, place }: Placed,
  direction: "ingress" | "egress",
): Cause {
  if (stop && kernel.tcx(stop, direction) > 0) return tcxCause(kernel, stop, direction);
  return cause(
    "tc_drop",
    ["tc", place],
    { device, value: `filter at the ${direction}` },
    [],
    removing(
      `all filters at the ${direction} of ${device}`,
      inNetns(netns, "tc", "filter", "del", "dev", device, direction),
    ),
  );
}

function ofQueue({ grown }: Evidence, { device, netns, place }: Placed): Cause {
  const queues = grown.flatMap((one) =>
    one.kind === "qdisc" && one.netns === netns && one.device === device ? [one.name] : []
  );
  return cause(
    "qdisc_drop",
    ["tc", place],
    { device, value: queues.join(", ") || undefined },
    [],
    removing(
      `the queue of ${device} with its limits`,
      inNetns(netns, "tc", "qdisc", "del", "dev", device, "root"),
    ),
  );
}

function ofChecksum(_: Evidence, { device, place }: Placed): Cause {
  return cause("bad_checksum", ["link", place], { device });
}

function ofBacklog({ question, scene }: Evidence): Cause {
  return cause(
    "backlog_full",
    [question.topic === "agent" ? "agent" : "listener", question.journey.to],
    {
      container: question.topic === "agent" ? undefined : scene.name,
      port: `${question.realPort ?? question.port}/${question.protocol}`,
    },
  );
}
