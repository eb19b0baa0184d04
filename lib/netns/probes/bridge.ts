/** The bridge: whether it is there, up, and the container on it. */
import { type Finding, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeBridges(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) => bridgeOf(scene, attached));
}

function bridgeOf({ host, name }: Scene, { bridge, hostEnd, ifName }: Attached): Finding[] {
  if (!bridge) return [];
  const { link } = bridge;
  if (!link) {
    return [problem(
      "bridge_gone",
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
      `${hostEnd.name}, the agent's end of ${ifName} in ${name}, is not on ${bridge.name}`,
      [`it is ${master ? `a port of ${master}` : "no bridge's port"}`],
      `make it a port of ${bridge.name} again`,
      {
        what: `put ${hostEnd.name} on ${bridge.name}`,
        apply: () => host.change((netlink) => netlink.setMaster(hostEnd.name, bridge.name)),
      },
    ));
  }
  if (!link.flags.includes("UP")) {
    findings.push(problem(
      "bridge_down",
      `the bridge ${bridge.name} is down`,
      [`its flags are ${link.flags.join(", ")}`],
      `bring ${bridge.name} up; every container on it is cut off until then`,
      {
        what: `bring ${bridge.name} up`,
        apply: () => host.change((netlink) => netlink.setLinkUp(bridge.name)),
      },
    ));
  }
  return findings;
}
