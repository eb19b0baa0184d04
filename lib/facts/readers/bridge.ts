/** The bridge: whether it is there and up, has its gateway's address, and the container on it. */
import { networkText, within } from "../../base/ip.ts";
import type { Checkpoint } from "../../containers/checkpoint.ts";
import { type Cause, cause, downCause, type Place, run, type Values } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Link } from "../../netlink/mod.ts";
import { networkAddresses } from "../../containers/network_address.ts";
import { type Attached, bridgeOf, pluginOf, type Scene } from "../scene.ts";

export function readBridges(scene: Scene): Look {
  const on = scene.interfaces.filter(({ bridge }) => bridge !== undefined);
  if (on.length === 0) return nothing("none of its interfaces is on a bridge");
  const seen = on.map(({ hostEnd, bridge }) => {
    const state = hostEnd && scene.agent.portOf(hostEnd)?.state;
    return `${hostEnd?.name ?? "nothing"} on ${bridge!.name}${state ? ` (${state})` : ""}`;
  });
  return saw(seen.join(", "), on.flatMap((attached) => bridgeCauses(scene, attached)));
}

/** What is wrong with the bridge of one interface. */
export function bridgeCauses(scene: Scene, attached: Attached): Cause[] {
  const { host, name: container } = scene;
  const { bridge, hostEnd, ifName } = attached;
  if (!bridge) return [];
  const { link } = bridge;
  if (!link) {
    return [cause("bridge_gone", ["link", "bridge"], { device: bridge.name }, [
      `the agent has no interface ${bridge.name}`,
    ])];
  }
  const found: Cause[] = [];
  if (hostEnd && hostEnd.master !== link.index) {
    const master = host.linkAt(hostEnd.master)?.name;
    found.push(cause(
      "veth_off_bridge",
      ["bridge-port", "host-veth"],
      { container, device: hostEnd.name, other: ifName, wanted: bridge.name },
      [`it is ${master ? `a port of ${master}` : "no bridge's port"}`],
      run(["ip", "link", "set", hostEnd.name, "master", bridge.name]),
    ));
  }
  if (!link.flags.includes("UP")) {
    found.push(downCause("bridge_down", "bridge", link));
  }
  const port = hostEnd?.master === link.index ? scene.agent.portOf(hostEnd) : undefined;
  if (port && port.state === "disabled" && hostEnd!.carrier && hostEnd!.flags.includes("UP")) {
    found.push(stateCause(scene, hostEnd!, "host-veth"));
  }
  // Nobody who joins a group is known to it, and what is for groups goes to no port that is not flooded.
  if (port && !port.multicastFlood && !scene.agent.bridgeVlans.snooping.has(link.index)) {
    const about = { device: hostEnd!.name, other: link.name, value: "mcast_flood" };
    found.push(portCause("port_flood", "host-veth", about));
  }
  return [
    ...found,
    ...gatewayCauses(scene, attached, 4),
    ...gatewayCauses(scene, attached, 6),
  ];
}

/** The settings of a port that keep frames away, each with the value by which it does not. */
const PASSING = {
  port_state: [["state", "3"]],
  port_isolated: [["isolated", "off"]],
  port_locked: [["locked", "off"]],
  port_hairpin: [["hairpin", "on"]],
  port_flood: [["flood", "on"], ["mcast_flood", "on"], ["bcast_flood", "on"]],
  neigh_suppress: [["neigh_suppress", "off"]],
} as const;

/** @param values the port, its bridge, and which of several settings, or what it is */
export function portCause(
  code: keyof typeof PASSING,
  place: Place,
  values: Values & { device: string },
): Cause {
  const settings = PASSING[code].filter(([name]) =>
    code !== "port_flood" || values.value!.split(", ").includes(name)
  );
  const is = settings.map(([name, wanted]) =>
    `${name} ${wanted === "3" ? values.value : wanted === "on" ? "off" : "on"}`
  );
  const set = ["bridge", "link", "set", "dev", values.device, ...settings.flat()];
  return cause(code, ["bridge-port", place], values, [`bridge link: ${is.join(" ")}`], run(set));
}

/** Where a bridge speaks STP the protocol decides, and the kernel takes a state from nobody else. */
export function stateCause({ host, agent }: Scene, port: Link, place: Place): Cause {
  const found = portCause("port_state", place, {
    device: port.name,
    other: host.linkAt(port.master)?.name ?? "the bridge",
    value: agent.portOf(port)?.state ?? "not forwarding",
  });
  return agent.bridgeVlans.spanning.has(port.master ?? 0)
    ? { ...found, why: "STP", fix: undefined }
    : found;
}

/** A bridge that is its network's gateway must have the gateway's address, with its mask. */
export function gatewayCauses({ host, agent }: Scene, attached: Attached, of: 4 | 6): Cause[] {
  const { expected, checkpoint, bridge, routedByAgent } = attached;
  const link = bridge?.link;
  if (!link || !routedByAgent || !checkpoint) return [];
  return expected.flatMap(({ gateway, prefixLength, family, address }): Cause[] => {
    if (gateway === undefined || family !== of || !needsGateway(checkpoint, family)) return [];
    // Two networks may have one range, each on a bridge of its own.
    const isHere = host.addressesOf(link).some((one) => one.address === gateway);
    const owner = isHere ? link : host.ownerOf(gateway);
    const wanted = `${gateway}/${prefixLength}`;
    const has = host.addressesOf(link).map((one) => one.address).join(", ") || "none";
    const makes = `${checkpoint.network} makes ${link.name} the gateway; its addresses are: ${has}`;
    if (!owner) {
      return [cause(
        "gateway_address_lost",
        ["address", "bridge"],
        { family, device: link.name, gateway },
        [makes],
        run(["ip", "address", "add", wanted, "dev", link.name]),
      )];
    }
    if (owner.master === link.index) return [];
    const at = host.addressesOf(owner).find((one) => one.address === gateway)!;
    const remove = ["ip", "address", "del", `${gateway}/${at.prefixLength}`, "dev", owner.name];
    if (owner.index === link.index) {
      if (at.prefixLength <= prefixLength || within(address, `${gateway}/${at.prefixLength}`)) {
        return [];
      }
      return [cause(
        "gateway_mask",
        ["address", "bridge"],
        {
          family,
          device: link.name,
          address: `${gateway}/${at.prefixLength}`,
          wanted: networkText(address, prefixLength),
        },
        [`the plugin gave the containers addresses of /${prefixLength}`],
        run(remove, ["ip", "address", "add", wanted, "dev", link.name]),
      )];
    }
    const other = agent.containers.flatMap(({ attachments }) => attachments).find((one) =>
      bridgeOf(one) === owner.name && networkAddresses(one).some((has) => has.gateway === gateway)
    )?.network;
    return [cause(
      "gateway_moved",
      ["address", "bridge"],
      { family, device: owner.name, gateway, wanted: link.name, other },
      [makes],
      // It is not taken from containers that live by it.
      other === undefined
        ? {
          ...run(remove, ["ip", "address", "add", wanted, "dev", link.name]),
          removes: `${gateway} from ${owner.name}`,
        }
        : undefined,
    )];
  });
}

/** Whether routes of the network lead by its gateway; host-local names one also where none does. */
function needsGateway(checkpoint: Checkpoint, family: 4 | 6): boolean {
  const plugin = pluginOf(checkpoint, "bridge");
  return plugin?.isGateway === true || plugin?.isDefaultGateway === true ||
    (checkpoint.result?.routes ?? []).some(({ dst }) => dst.includes(":") === (family === 6));
}
