/** The agent's own route to the container, which its reverse-path filter goes by too. */
import { SystemError } from "../../kernel/libc.ts";
import { type Finding, problem, shellText } from "../finding.ts";
import type { NetworkAddress } from "../../containers/network_address.ts";
import { placeOfDevice } from "./drops.ts";
import type { Attached, Scene } from "../scene.ts";

/** A strict filter drops even the container's ARP questions, so this comes before the gateway. */
export function probeWayBack(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) =>
    attached.routedByAgent && attached.ingress
      ? attached.expected.flatMap((address) => wayBack(scene, attached, address))
      : []
  );
}

/** The kernel is asked what it would do: with a packet of the container's, and with an answer. */
function wayBack(
  scene: Scene,
  { ingress }: Attached,
  { family, address }: NetworkAddress,
): Finding[] {
  const { host, name } = scene;
  const uplink = scene.uplink(family);
  const device = ingress!.name;
  let route;
  try {
    route = host.netlink.routeTo(address);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  const leads = route && host.linkAt(route.link)?.name;
  if (leads === device) return [];
  if (uplink && isDropped(scene, ingress!.index, device, address, uplink.agentAddress)) {
    const loose = ["sysctl", "-w", `net.ipv4.conf.${device}.rp_filter=2`];
    return [problem(
      "rp_filter",
      ["sysctl", placeOfDevice(scene, device)],
      `the agent's reverse-path filter drops what comes from ${name}`,
      [
        `rp_filter of ${device} is 1 (strict), and the kernel refuses packets from ${address} there`,
        `the agent's route to ${address} leads ${leads ? `to ${leads}` : "nowhere"}`,
      ],
      `correct the agent's route to ${address} (a VPN or another network may claim it), or make ` +
        `the filter loose: ${shellText(loose)}`,
      { what: `make the filter of ${device} loose`, commands: [loose] },
    )];
  }
  return [problem(
    "host_route",
    ["route", "agent"],
    `the agent leads answers to ${name} elsewhere`,
    [
      `the agent's route to ${address} leads ${leads ? `to ${leads}` : "nowhere"}` +
      `${route?.gateway ? ` via ${route.gateway}` : ""}, and the container is behind ${device}`,
    ],
    "look for a route of another network, a VPN or a policy rule that covers the container's " +
      "subnet, and for two bridges with the same one",
  )];
}

/** Whether the filter is strict on a device, and the kernel says it takes no such packet there. */
function isDropped(
  { host }: Scene,
  inputLink: number,
  device: string,
  source: string,
  destination: string,
): boolean {
  // The stricter of the two does not win, but the larger number: 1 is strict, 2 loose.
  const settings = ["all", device].map((one) => host.setting(`ipv4/conf/${one}/rp_filter`));
  if (source.includes(":") || Math.max(...settings.map(Number)) !== 1) return false;
  try {
    host.netlink.routeTo(destination, { source, inputLink });
    return false;
  } catch (error) {
    // EXDEV is the filter's own word for it; newer kernels say EINVAL.
    if (error instanceof SystemError) return ["EXDEV", "EINVAL"].includes(error.errnoName);
    throw error;
  }
}
