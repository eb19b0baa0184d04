/** The bridge: whether it is there, up, and the container on it. */
import type { Link } from "../../netlink/mod.ts";
import { type Finding, problem } from "../finding.ts";
import type { Checkpoint } from "../../containers/checkpoint.ts";
import { type Attached, pluginOf, type Scene } from "../scene.ts";

export function probeBridges(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) => bridgeOf(scene, attached));
}

/** What is wrong with the bridge of one interface. */
export function bridgeOf(scene: Scene, attached: Attached): Finding[] {
  const { host, name } = scene;
  const { bridge, hostEnd, ifName } = attached;
  if (!bridge) return [];
  const { link } = bridge;
  if (!link) {
    return [problem(
      "bridge_gone",
      ["link", "bridge"],
      `the bridge ${bridge.name} is gone`,
      [`the agent has no interface ${bridge.name}`],
      "the next container on the network makes it anew; those that are running must be started " +
        "anew, since their veth's were its ports",
    )];
  }
  const findings: Finding[] = [];
  if (hostEnd && hostEnd.master !== link.index) {
    const master = host.linkAt(hostEnd.master)?.name;
    findings.push(problem(
      "veth_off_bridge",
      ["bridge-port", "host-veth"],
      `${hostEnd.name}, the agent's end of ${ifName} in ${name}, is not on ${bridge.name}`,
      [`it is ${master ? `a port of ${master}` : "no bridge's port"}`],
      `make it a port of ${bridge.name} again`,
      {
        what: `put ${hostEnd.name} on ${bridge.name}`,
        commands: [["ip", "link", "set", hostEnd.name, "master", bridge.name]],
      },
    ));
  }
  if (!link.flags.includes("UP")) {
    findings.push(problem(
      "bridge_down",
      ["link", "bridge"],
      `the bridge ${bridge.name} is down`,
      [`its flags are ${link.flags.join(", ")}`],
      `bring ${bridge.name} up; every container on it is cut off until then`,
      {
        what: `bring ${bridge.name} up`,
        commands: [["ip", "link", "set", bridge.name, "up"]],
      },
    ));
  }
  return [...findings, ...lostGateways(scene, attached, link)];
}

/** A bridge that is its network's gateway must have the gateway's address. */
function lostGateways(
  { host }: Scene,
  { expected, checkpoint, routedByAgent }: Attached,
  bridge: Link,
): Finding[] {
  // A network is also routed by the agent when one of its two families lost the gateway.
  const isGateway = routedByAgent && checkpoint !== undefined;
  if (!isGateway) return [];
  const lost = expected.filter(({ gateway, family }) =>
    gateway && !host.ownerOf(gateway) && needsGateway(checkpoint, family)
  );
  const has = host.addressesOf(bridge).map(({ address }) => address).join(", ") || "none";
  return lost.map(({ gateway, prefixLength }) =>
    problem(
      "gateway_address_lost",
      ["address", "bridge"],
      `${bridge.name} has lost the gateway's address ${gateway}`,
      [`${checkpoint!.network} makes ${bridge.name} the gateway; its addresses are: ${has}`],
      `add ${gateway} to ${bridge.name} again; every container on the network needs it`,
      {
        what: `add ${gateway}/${prefixLength} to ${bridge.name}`,
        commands: [["ip", "address", "add", `${gateway}/${prefixLength}`, "dev", bridge.name]],
      },
    )
  );
}

/** Whether routes of the network lead by its gateway; host-local names one also where none does. */
function needsGateway(checkpoint: Checkpoint, family: 4 | 6): boolean {
  const plugin = pluginOf(checkpoint, "bridge");
  return plugin?.isGateway === true || plugin?.isDefaultGateway === true ||
    (checkpoint.result?.routes ?? []).some(({ dst }) => dst.includes(":") === (family === 6));
}
