/** From the container's end to the agent's: lo, the interface, its carrier, its peer. */
import { type Finding, inNetns, problem } from "../finding.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeLinks(scene: Scene): Finding[] {
  return [...loopback(scene), ...scene.interfaces.flatMap((one) => interfaceOf(scene, one))];
}

/** What is wrong with one interface and its other end. */
export function interfaceReasons(scene: Scene, attached: Attached): Finding[] {
  return interfaceOf(scene, attached);
}

function loopback({ inside, name }: Scene): Finding[] {
  const lo = inside.links.find(({ kind }) => kind === "loopback");
  if (!lo || lo.flags.includes("UP")) return [];
  return [problem(
    "lo_down",
    ["link", "container"],
    `lo is down in ${name}`,
    [`the flags of lo are ${lo.flags.join(", ")}`],
    "whatever talks to 127.0.0.1 fails: bring lo up",
    {
      what: "bring lo up in the container",
      commands: [inNetns(inside.netns, "ip", "link", "set", lo.name, "up")],
    },
  )];
}

function interfaceOf(scene: Scene, attached: Attached): Finding[] {
  const { inside, name } = scene;
  const { ifName, link, hostEnd, checkpoint } = attached;
  if (!link) {
    if (checkpoint?.state === "attaching") return [];
    return [problem(
      "interface_gone",
      ["link", "container"],
      `${ifName} is gone from ${name}`,
      [`the namespace has ${inside.links.map((one) => one.name).join(", ")}`],
      "somebody removed it, or its veth's other end on the agent: restart the container",
    )];
  }
  const findings: Finding[] = [];
  const isUp = link.flags.includes("UP");
  if (!isUp) {
    findings.push(problem(
      "interface_down",
      ["link", "container"],
      `${ifName} is down in ${name}`,
      [`the flags of ${ifName} are ${link.flags.join(", ")}, its state is ${link.operState}`],
      // The kernel drops an interface's routes with it, and does not bring them back.
      `bring ${ifName} up; routes that went with it must be added again`,
      {
        what: `bring ${ifName} up`,
        commands: [
          inNetns(inside.netns, "ip", "link", "set", ifName, "up"),
          ...routesAgain(attached, inside.netns),
        ],
      },
    ));
  }
  if (hostEnd && !hostEnd.flags.includes("UP")) {
    findings.push(problem(
      "no_carrier",
      ["link", "host-veth"],
      `${hostEnd.name}, the agent's end of ${ifName}, is down`,
      [
        `${ifName} has ${link.carrier ? "a" : "no"} carrier, its state is ${link.operState}`,
        `the flags of ${hostEnd.name} are ${hostEnd.flags.join(", ")}`,
      ],
      `bring ${hostEnd.name} up on the agent`,
      {
        what: `bring ${hostEnd.name} up on the agent`,
        commands: [["ip", "link", "set", hostEnd.name, "up"]],
      },
    ));
  } else if (isUp && !link.carrier) {
    findings.push(problem(
      "no_carrier",
      ["link", "host-veth"],
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

/** The kernel drops an interface's routes with it, and does not bring them back. */
function routesAgain({ checkpoint, expected, ifName }: Attached, netns: string): string[][] {
  return (checkpoint?.result?.routes ?? []).flatMap(({ dst, gw }) => {
    const via = gw ?? expected.find(({ family }) => (family === 6) === dst.includes(":"))?.gateway;
    return via === undefined
      ? []
      : [inNetns(netns, "ip", "route", "replace", dst, "via", via, "dev", ifName)];
  });
}
