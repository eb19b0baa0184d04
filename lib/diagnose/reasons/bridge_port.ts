/** Settings of a bridge and its ports that keep frames away. */
import { SystemError } from "../../kernel/libc.ts";
import { bridgePorts, bridgeVlans, forwardingTable } from "../../netlink/bridge_state.ts";
import { type Finding, problem, type Reason, shellText } from "../finding.ts";
import type { Sighting } from "../observe/tap.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Trail } from "../place.ts";
import type { Question } from "../questions/question.ts";
import type { Attached, Scene } from "../scene.ts";

/**
 * What at the container's port, and at the port that the packet should leave by, keeps a frame.
 *
 * @param seen the probe's frames: where they went tells which setting it was
 */
export function portReasonsOfBridge(
  scene: Scene,
  attached: Attached,
  seen: readonly Sighting[],
  trail?: Trail,
  far?: Question["far"],
): Finding[] {
  const { host } = scene;
  const { hostEnd, bridge } = attached;
  if (!hostEnd || !bridge?.link) return [];
  const ports = safe(() => bridgePorts()) ?? [];
  const own = ports.find(({ index }) => index === hostEnd.index);
  const other = trail?.journey.legs.map(({ stop }) => stop).find((stop) =>
    stop.link.index !== hostEnd.index && stop.point.netns === undefined &&
    stop.link.master === bridge.link!.index
  );
  const others = ports.filter(({ index, master }) =>
    master === bridge.link!.index && index !== hostEnd.index
  );
  const farPort = others.find(({ index }) => index === other?.link.index);
  const found: Finding[] = [];
  const finding = (
    cause: string,
    [mechanism, place]: Reason,
    text: string,
    evidence: string[],
    command: string[],
  ) =>
    found.push(problem(cause, [mechanism, place], text, evidence, shellText(command), {
      what: `undo it: ${shellText(command)}`,
      commands: [command],
    }));
  for (const port of [own, farPort]) {
    if (!port) continue;
    const name = host.linkAt(port.index)?.name ?? String(port.index);
    const place = port === own ? "host-veth" : "neighbour";
    if (port.state !== "forwarding" && host.linkAt(port.index)?.carrier) {
      finding(
        "port_state",
        ["bridge-port", place],
        `the port ${name} of ${bridge.name} is in the state ${port.state}, not forwarding`,
        [`bridge link: state ${port.state}`],
        ["bridge", "link", "set", "dev", name, "state", "3"],
      );
    }
    if (port.locked) {
      finding(
        "port_locked",
        ["bridge-port", place],
        `the port ${name} of ${bridge.name} is locked: it takes frames of known hardware addresses only`,
        ["bridge link: locked on"],
        ["bridge", "link", "set", "dev", name, "locked", "off"],
      );
    }
  }
  if (own?.isolated && farPort?.isolated) {
    const name = hostEnd.name;
    finding(
      "port_isolated",
      ["bridge-port", "host-veth"],
      `the ports ${name} and ${
        other!.link.name
      } of ${bridge.name} are isolated: they do not talk to each other`,
      ["bridge link: isolated on, at both"],
      ["bridge", "link", "set", "dev", name, "isolated", "off"],
    );
  }
  found.push(...forwarding(scene, attached, seen, bridge.link.index, far));
  for (const port of [own, farPort]) {
    if (!port) continue;
    const name = host.linkAt(port.index)?.name ?? String(port.index);
    const place = port === own ? "host-veth" : "neighbour";
    const flood = [
      ...port.unicastFlood ? [] : ["flood"],
      ...port.multicastFlood ? [] : ["mcast_flood"],
      ...port.broadcastFlood ? [] : ["bcast_flood"],
    ];
    if (flood.length > 0) {
      finding(
        "port_flood",
        ["bridge-port", place],
        `the port ${name} of ${bridge.name} is not flooded (${
          flood.join(", ")
        } off): broadcasts such as ARP, multicasts such as neighbour discovery, or frames to who has been silent do not reach it`,
        [`bridge link: ${flood.map((one) => `${one} off`).join(" ")}`],
        ["bridge", "link", "set", "dev", name, ...flood.flatMap((one) => [one, "on"])],
      );
    }
    if (port.neighbourSuppress) {
      finding(
        "neigh_suppress",
        ["bridge-port", place],
        `the port ${name} of ${bridge.name} suppresses ARP and neighbour discovery`,
        ["bridge link: neigh_suppress on"],
        ["bridge", "link", "set", "dev", name, "neigh_suppress", "off"],
      );
    }
  }
  return [...found, ...vlans(scene, attached)];
}

/** An entry of the forwarding table that leads a hardware address to another port. */
function forwarding(
  { host }: Scene,
  { link, hostEnd, bridge }: Attached,
  seen: readonly Sighting[],
  master: number,
  far: Question["far"],
): Finding[] {
  const entries = safe(() => forwardingTable()) ?? [];
  const their = far?.attached;
  const wanted: [mac: string | undefined, port: Link, whose: string][] = [
    [link?.mac, hostEnd!, "the container"],
  ];
  if (their?.hostEnd) {
    wanted.push([their.link?.mac, their.hostEnd, `container ${far!.scene.name}`]);
  }
  for (const [mac, port, whose] of wanted) {
    const wrong = entries.find((one) =>
      // A port's own address is local there; that of who is behind it must not be.
      one.mac === mac && (one.link !== port.index || one.permanent) &&
      (one.master === master || one.link === master)
    );
    if (!wrong) continue;
    const name = host.linkAt(wrong.link)?.name ?? String(wrong.link);
    const isSelf = wrong.link === master || wrong.permanent;
    const command = [
      "bridge",
      "fdb",
      "del",
      mac!,
      "dev",
      name,
      ...isSelf && wrong.master === undefined ? ["self"] : ["master"],
    ];
    return [problem(
      "fdb_wrong",
      ["bridge-port", wrong.link === port.index ? "host-veth" : "bridge"],
      `the forwarding table of ${bridge!.name} leads ${mac}, which is ${whose}, to ${
        wrong.link === port.index ? "the bridge itself" : name
      } instead of ${port.name}`,
      [
        `bridge fdb: ${mac} dev ${name}${
          wrong.permanent ? " permanent" : wrong.fixed ? " static" : ""
        }`,
        ...seen.slice(0, 1).map(({ at }) => `a frame was last seen at ${at}`),
      ],
      `forget it: ${shellText(command)}; if it comes back, somebody else sends with that address`,
      { what: `forget ${mac} on ${name}`, commands: [command] },
    )];
  }
  return [];
}

/** A bridge that filters VLANs passes what its ports are members of, by their PVID when untagged. */
function vlans({ host }: Scene, { hostEnd, bridge }: Attached): Finding[] {
  const { filtering, ports } = safe(() => bridgeVlans()) ??
    { filtering: new Set<number>(), ports: new Map() };
  if (!filtering.has(bridge!.link!.index)) return [];
  const pvid = (index: number) => ports.get(index)?.find(({ pvid }: { pvid: boolean }) => pvid)?.id;
  const own = pvid(hostEnd!.index);
  const at = pvid(bridge!.link!.index);
  if (own !== undefined && own === at) return [];
  const name = host.linkAt(hostEnd!.index)!.name;
  const command = [
    "bridge",
    "vlan",
    "add",
    "dev",
    name,
    "vid",
    String(at ?? 1),
    "pvid",
    "untagged",
  ];
  return [problem(
    "vlan_differs",
    ["vlan", "host-veth"],
    `${bridge!.name} filters VLANs: ${name} is in ${own ?? "none"}, and ${bridge!.name} itself in ${
      at ?? "none"
    }`,
    [`bridge vlan: the PVID of ${name} is ${own ?? "not set"}, of ${bridge!.name} ${
      at ?? "not set"
    }`],
    shellText(command),
    { what: `put ${name} into VLAN ${at ?? 1}`, commands: [command] },
  )];
}

function safe<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
