/** The bridge: whether it is there and up, has its gateway's address, and the container on it. */
import { networkText } from "../../base/ip.ts";
import type { Checkpoint } from "../../containers/checkpoint.ts";
import { type Cause, cause, run } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
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
    found.push(cause(
      "bridge_down",
      ["link", "bridge"],
      { device: bridge.name },
      [{ device: bridge.name, flags: link.flags }],
      run(["ip", "link", "set", bridge.name, "up"]),
    ));
  }
  const port = hostEnd?.master === link.index ? scene.agent.portOf(hostEnd) : undefined;
  if (port && port.state === "disabled" && hostEnd!.carrier && hostEnd!.flags.includes("UP")) {
    found.push(portState(hostEnd!.name, bridge.name, port.state, "host-veth"));
  }
  return [
    ...found,
    ...gatewayCauses(scene, attached, 4),
    ...gatewayCauses(scene, attached, 6),
  ];
}

/** A bridge forwards frames of its ports in one state only. */
export function portState(
  device: string,
  bridge: string,
  state: string,
  place: "host-veth" | "neighbour" | "uplink",
): Cause {
  return cause(
    "port_state",
    ["bridge-port", place],
    { device, other: bridge, value: state },
    [`bridge link: state ${state}`],
    run(["bridge", "link", "set", "dev", device, "state", "3"]),
  );
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
      if (at.prefixLength <= prefixLength) return [];
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
