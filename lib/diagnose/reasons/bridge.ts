/** The bridge: whether it is there, up, and the container on it. */
import type { Address, Link } from "../../netlink/mod.ts";
import { type Finding, problem, shellText } from "../finding.ts";
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
      "the next container on the network makes it again; those that are running must be " +
        "restarted, since their veths were its ports",
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

/** A gateway's address that is on another link of the agent than the bridge. */
export function movedGateways({ host }: Scene, attached: Attached, of: 4 | 6): Finding[] {
  const { expected, checkpoint, bridge, routedByAgent } = attached;
  const link = bridge?.link;
  if (!link || !routedByAgent || !checkpoint) return [];
  return expected.flatMap(({ gateway, prefixLength, family }) => {
    const owner = gateway === undefined ? undefined : host.ownerOf(gateway);
    if (family !== of || !owner || owner.master === link.index) return [];
    if (!needsGateway(checkpoint, family)) return [];
    const at = host.addressesOf(owner).find(({ address }) => address === gateway)!;
    if (owner.index === link.index) {
      return at.prefixLength > prefixLength ? [narrowGateway(at, prefixLength, link)] : [];
    }
    const commands = [
      ["ip", "address", "del", `${gateway}/${at.prefixLength}`, "dev", owner.name],
      ["ip", "address", "add", `${gateway}/${prefixLength}`, "dev", link.name],
    ];
    return [problem(
      "gateway_moved",
      ["address", "bridge"],
      `the gateway's address ${gateway} is on ${owner.name} instead of ${link.name}`,
      [
        `${checkpoint.network} makes ${link.name} the gateway; its addresses are: ${
          host.addressesOf(link).map(({ address }) => address).join(", ") || "none"
        }`,
      ],
      `move it back: ${commands.map(shellText).join(" && ")}`,
      { what: `move ${gateway} to ${link.name}`, commands },
    )];
  });
}

/** A gateway's address whose mask leaves out the containers. */
function narrowGateway(
  { address, prefixLength }: Address,
  wanted: number,
  { name }: Link,
): Finding {
  const commands = [
    ["ip", "address", "del", `${address}/${prefixLength}`, "dev", name],
    ["ip", "address", "add", `${address}/${wanted}`, "dev", name],
  ];
  return problem(
    "gateway_mask",
    ["address", "bridge"],
    `${name} has the gateway's address as ${address}/${prefixLength}, and its network is /${wanted}: the containers are outside of it`,
    [`the plugin gave the containers addresses of /${wanted}`],
    commands.map(shellText).join(" && "),
    { what: `give ${name} ${address}/${wanted}`, commands },
  );
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
