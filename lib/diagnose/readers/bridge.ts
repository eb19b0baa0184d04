/** Settings of a bridge and its ports that keep frames away. */
import type { BridgePort } from "../../netlink/bridge_state.ts";
import type { Link } from "../../netlink/mod.ts";
import { type Cause, cause, removing, run } from "../../facts/cause.ts";
import { portCause, stateCause } from "../../facts/readers/bridge.ts";
import type { Attached } from "../../facts/scene.ts";
import type { Evidence } from "../evidence.ts";
import type { Trail } from "../place.ts";
import { walkTwins } from "./hardware.ts";
import type { Reader } from "./reader.ts";

export const bridgeInBetween: Reader = (e) => {
  const ends = [e.trail.before, e.trail.after].map((leg) => leg?.stop.place);
  return ends.some((place) => place === "host-veth" || place === "bridge")
    ? bridgePortCauses(e, e.trail)
    : [];
};

/** What keeps a frame at the container's port, and at the port that it should leave by. */
export function bridgePortCauses(e: Evidence, trail?: Trail): Cause[] {
  return e.scene.interfaces.flatMap((attached) => portCauses(e, attached, trail)).slice(0, 1);
}

export function portCauses(e: Evidence, attached: Attached, trail?: Trail): Cause[] {
  const { scene } = e;
  const { hostEnd, bridge } = attached;
  const master = bridge?.link;
  if (!hostEnd || !master) return [];
  const other = trail?.journey.legs.map(({ stop }) => stop.link).find((link) =>
    link.index !== hostEnd.index && link.master === master.index
  );
  const ends = [
    { port: scene.agent.portOf(hostEnd), link: hostEnd, place: "host-veth" as const },
    ...other ? [{ port: scene.agent.portOf(other), link: other, place: "neighbour" as const }] : [],
  ].filter((one): one is typeof one & { port: BridgePort } => one.port?.master === master.index);
  const isIsolated = ends.length === 2 && ends.every(({ port }) => port.isolated);
  const both = { device: hostEnd.name, other: bridge!.name, wanted: other?.name };
  return [
    ...isIsolated ? [portCause("port_isolated", "host-veth", both)] : [],
    ...trail && ends[0]?.port.hairpin === false && isSentBack(e, trail)
      ? [portCause("port_hairpin", "host-veth", both)]
      : [],
    ...ends.flatMap(({ port, link, place }) => [
      ...port.state !== "forwarding" && link.carrier ? [stateCause(scene, link, place)] : [],
      ...keeping(port).map(([code, , value]) =>
        portCause(code, place, { device: link.name, other: bridge!.name, value })
      ),
    ]),
    ...forwarding(e, attached, master),
    ...vlans(e, attached),
  ];
}

/** Where rules change what a bridge passes, it is the bridge that is to send a frame back to whom it came from. */
function isSentBack({ scene: { host } }: Evidence, { journey, before }: Trail): boolean {
  return journey.from === "container" && journey.to === "container" && before?.way === "there" &&
    host.setting("bridge/bridge-nf-call-iptables") === "1";
}

/** What of a port keeps frames away, and its value. */
function keeping({ locked, neighbourSuppress, ...port }: BridgePort) {
  const flooded = { flood: port.unicastFlood, mcast_flood: port.multicastFlood };
  const off = Object.entries({ ...flooded, bcast_flood: port.broadcastFlood })
    .filter(([, isOn]) => !isOn).map(([name]) => name);
  const all = [
    ["port_locked", locked, undefined],
    ["port_flood", off.length > 0, off.join(", ")],
    ["neigh_suppress", neighbourSuppress, undefined],
  ] as const;
  return all.filter(([, isKept]) => isKept);
}

/** An entry of the forwarding table that leads a hardware address to another port. */
function forwarding(
  { scene, question: { far }, sightings, kernel }: Evidence,
  attached: Attached,
  master: Link,
): Cause[] {
  const { link, hostEnd, bridge } = attached;
  const theirs = far?.attached;
  const wanted = [
    { mac: link?.mac, port: hostEnd!, container: "the container" },
    ...theirs?.hostEnd
      ? [{ mac: theirs.link?.mac, port: theirs.hostEnd, container: `container ${far!.scene.name}` }]
      : [],
  ];
  for (const { mac, port, container } of wanted) {
    if (mac === undefined) continue;
    const wrong = kernel.bridgeEntries(master.index, mac).find((one) =>
      // A port's own address is local there; that of who is behind it must not be.
      one.link !== port.index || one.permanent
    );
    if (!wrong) continue;
    const shared = walkTwins(scene).find((one) => one !== undefined);
    if (shared) return [shared];
    const name = scene.host.linkAt(wrong.link)?.name ?? String(wrong.link);
    const isSelf = wrong.link === master.index || wrong.permanent;
    const of = isSelf && wrong.master === undefined ? "self" : "master";
    const isOwn = wrong.link === port.index;
    const device = isOwn ? "the bridge itself" : name;
    const kind = wrong.permanent ? " permanent" : wrong.fixed ? " static" : "";
    return [cause(
      "fdb_wrong",
      ["bridge-port", isOwn ? "host-veth" : "bridge"],
      { container, mac, other: bridge!.name, device, wanted: port.name },
      [
        `bridge fdb: ${mac} dev ${name}${kind}`,
        ...sightings.slice(0, 1).map(({ at }) => `a frame was seen at ${at}`),
      ],
      removing(`the entry of ${mac} on ${name}`, ["bridge", "fdb", "del", mac, "dev", name, of]),
    )];
  }
  return [];
}

/** A bridge that filters VLANs passes what its ports are members of, by their PVID when untagged. */
function vlans({ scene }: Evidence, { hostEnd, bridge }: Attached): Cause[] {
  const { filtering, ports } = scene.agent.bridgeVlans;
  if (!filtering.has(bridge!.link!.index)) return [];
  const pvid = (index: number) => ports.get(index)?.find(({ pvid }) => pvid)?.id;
  const own = pvid(hostEnd!.index);
  const at = pvid(bridge!.link!.index);
  if (own !== undefined && own === at) return [];
  const [device, other] = [hostEnd!.name, bridge!.name];
  const [value, wanted] = [own, at].map((one) => String(one ?? "none"));
  return [cause(
    "vlan_differs",
    ["vlan", "host-veth"],
    { device, other, value, wanted },
    [`bridge vlan: the PVID of ${device} is ${value}, of ${other} ${wanted}`],
    run(["bridge", "vlan", "add", "dev", device, "vid", String(at ?? 1), "pvid", "untagged"]),
  )];
}
