/** The agent as a router: whether it takes packets from the container, and leads them back. */
import { SystemError } from "../../linux/libc.ts";
import { writeProcFile } from "../../linux/files.ts";
import { type Finding, problem } from "../finding.ts";
import type { NetworkAddress } from "../network_address.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeForwarding(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) =>
    attached.routedByAgent && attached.ingress
      ? attached.expected.flatMap((address) => [
        ...forwarding(scene, attached, address),
        ...wayBack(scene, attached, address),
      ])
      : []
  );
}

function forwarding(scene: Scene, { ingress }: Attached, { family }: NetworkAddress): Finding[] {
  const settings = family === 4
    ? ["ipv4/ip_forward", `ipv4/conf/${ingress!.name}/forwarding`]
    : ["ipv6/conf/all/forwarding"];
  const off = settings.find((name) => scene.host.setting(name) === "0");
  if (off === undefined) return [];
  const key = `net.${off.replaceAll("/", ".")}`;
  return [problem(
    "forwarding_off",
    `the agent does not forward IPv${family}`,
    [`${key} is 0`],
    `sysctl -w ${key}=1, and in /etc/sysctl.d so that it stays; something turned it off after ` +
      "the plugin had turned it on",
    {
      what: `set ${key} to 1`,
      apply: () => writeProcFile(`/proc/sys/net/${off}`, "1\n"),
    },
  )];
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
  const strict = ["all", device].find((one) => host.setting(`ipv4/conf/${one}/rp_filter`) === "1");
  if (family === 4 && strict !== undefined && uplink) {
    try {
      const from = { source: address, inputLink: ingress!.index };
      host.netlink.routeTo(uplink.agentAddress, from);
    } catch (error) {
      if (error instanceof SystemError && error.errnoName === "EXDEV") {
        return [problem(
          "rp_filter",
          `the agent's reverse-path filter drops what comes from ${name}`,
          [
            `net.ipv4.conf.${strict}.rp_filter is 1 (strict)`,
            `the agent's route to ${address} leads ${leads ? `to ${leads}` : "nowhere"}, ` +
            `and its packets come by ${device}`,
          ],
          `correct the agent's route to ${address} (a VPN or another network may claim it), or ` +
            "set rp_filter to 2 (loose)",
        )];
      }
      if (!(error instanceof SystemError)) throw error;
    }
  }
  if (leads === device) return [];
  return [problem(
    "host_route",
    `the agent leads answers to ${name} elsewhere`,
    [
      `the agent's route to ${address} leads ${leads ? `to ${leads}` : "nowhere"}` +
      `${route?.gateway ? ` via ${route.gateway}` : ""}, and the container is behind ${device}`,
    ],
    "look for a route of another network, a VPN or a policy rule that covers the container's " +
      "subnet, and for two bridges with the same one",
  )];
}
