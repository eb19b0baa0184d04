/** The agent as a router: whether it forwards at all, and what comes in by a link. */
import { type Finding, problem, shellText } from "../finding.ts";
import type { Scene } from "../scene.ts";
import { placeOfDevice } from "./drops.ts";

/** @param input the link that the packet came in by */
export function forwardingReasons(scene: Scene, family: 4 | 6, input?: string): Finding[] {
  const { host } = scene;
  const settings = family === 4
    ? ["ipv4/ip_forward", ...input ? [`ipv4/conf/${input}/forwarding`] : []]
    : ["ipv6/conf/all/forwarding", ...input ? [`ipv6/conf/${input}/forwarding`] : []];
  const off = settings.find((name) => host.setting(name) === "0");
  if (off === undefined) return [];
  const key = `net.${off.replaceAll("/", ".")}`;
  const isOfLink = input !== undefined && off.includes(`conf/${input}/`);
  const command = ["sysctl", "-w", `${key}=1`];
  return [problem(
    "forwarding_off",
    ["sysctl", isOfLink ? placeOfDevice(scene, input!) : "agent"],
    `the agent does not forward IPv${family}${
      isOfLink ? ` that comes in by ${input}` : ""
    }: ${key} is 0`,
    [`${key} is 0`],
    `${
      shellText(command)
    }, and in /etc/sysctl.d so that it stays; something turned it off after the plugin had turned it on`,
    { what: `set ${key} to 1`, commands: [command] },
  )];
}
