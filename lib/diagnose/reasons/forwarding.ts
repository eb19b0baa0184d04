/** The agent as a router: whether it forwards at all. */
import { type Finding, problem } from "../finding.ts";
import type { NetworkAddress } from "../../netns/network_address.ts";
import type { Attached, Scene } from "../scene.ts";

export function probeForwarding(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) =>
    attached.routedByAgent && attached.ingress
      ? attached.expected.flatMap((address) => forwarding(scene, attached, address))
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
    ["sysctl", "agent"],
    `the agent does not forward IPv${family}`,
    [`${key} is 0`],
    `sysctl -w ${key}=1, and in /etc/sysctl.d so that it stays; something turned it off after ` +
      "the plugin had turned it on",
    {
      what: `set ${key} to 1`,
      commands: [["sysctl", "-w", `${key}=1`]],
    },
  )];
}
