/** From the container's end to the agent's: lo, the interface, its carrier, its peer. */
import { type Finding, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeLinks(scene: Scene): Finding[] {
  return [...loopback(scene), ...scene.interfaces.flatMap((one) => interfaceOf(scene, one))];
}

function loopback({ inside, name }: Scene): Finding[] {
  const lo = inside.links.find(({ kind }) => kind === "loopback");
  if (!lo || lo.flags.includes("UP")) return [];
  return [problem(
    "lo_down",
    `lo is down in ${name}`,
    [`the flags of lo are ${lo.flags.join(", ")}`],
    "whatever talks to 127.0.0.1 fails: bring lo up",
    {
      what: "bring lo up in the container",
      apply: () => inside.change((netlink) => netlink.setLinkUp(lo.name)),
    },
  )];
}

function interfaceOf(scene: Scene, attached: Attached): Finding[] {
  const { inside, host, name } = scene;
  const { ifName, link, hostEnd, checkpoint } = attached;
  if (!link) {
    if (checkpoint?.state === "attaching") return [];
    return [problem(
      "interface_gone",
      `${ifName} is gone from ${name}`,
      [`the namespace has ${inside.links.map((one) => one.name).join(", ")}`],
      "somebody removed it, or its veth's other end on the agent: start the container anew",
    )];
  }
  const findings: Finding[] = [];
  const isUp = link.flags.includes("UP");
  if (!isUp) {
    findings.push(problem(
      "interface_down",
      `${ifName} is down in ${name}`,
      [`the flags of ${ifName} are ${link.flags.join(", ")}, its state is ${link.operState}`],
      // The kernel drops an interface's routes with it, and does not bring them back.
      `bring ${ifName} up; routes that went with it must be added again`,
      {
        what: `bring ${ifName} up`,
        apply: () => inside.change((netlink) => netlink.setLinkUp(ifName)),
      },
    ));
  }
  if (hostEnd && !hostEnd.flags.includes("UP")) {
    findings.push(problem(
      "no_carrier",
      `${hostEnd.name}, the agent's end of ${ifName}, is down`,
      [
        `${ifName} has ${link.carrier ? "a" : "no"} carrier, its state is ${link.operState}`,
        `the flags of ${hostEnd.name} are ${hostEnd.flags.join(", ")}`,
      ],
      `bring ${hostEnd.name} up on the agent`,
      {
        what: `bring ${hostEnd.name} up on the agent`,
        apply: () => host.change((netlink) => netlink.setLinkUp(hostEnd.name)),
      },
    ));
  } else if (isUp && !link.carrier) {
    findings.push(problem(
      "no_carrier",
      `${ifName} has no carrier`,
      [
        `its state is ${link.operState}`,
        hostEnd
          ? `${hostEnd.name} on the agent is ${hostEnd.operState}`
          : "its other end is not in the agent's network namespace",
      ],
      "look at the device below it, or at who moved the veth's other end away",
    ));
  }
  return findings;
}
