/** The agent's firewall on the container's way out and back: FORWARD, and masquerading. */
import { type Finding, problem } from "../finding.ts";
import type { NetworkAddress } from "../../netns/network_address.ts";
import { type Packet, type Verdict, walk } from "../../packetpath/walk.ts";
import { type Attached, pluginOf, type Scene, type Uplink } from "../scene.ts";

const BLOCKING = new Set(["DROP", "REJECT"]);
const SOURCE_NAT = new Set(["MASQUERADE", "SNAT", "NETMAP"]);
/** A port that nothing is special about, for the connection that is imagined. */
const SOME_PORT = 40000;

export async function probeFilter(scene: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const attached of scene.interfaces) {
    if (!attached.routedByAgent || !attached.ingress) continue;
    for (const address of attached.expected) {
      const uplink = scene.uplink(address.family);
      if (!uplink) continue;
      findings.push(
        ...await forward(scene, attached, address, uplink),
        ...await masquerade(scene, attached, address, uplink),
      );
    }
  }
  return findings;
}

async function forward(
  scene: Scene,
  { ingress }: Attached,
  { family, address }: NetworkAddress,
  uplink: Uplink,
): Promise<Finding[]> {
  const filter = await scene.rules("filter", family);
  if (!filter) return [];
  const out = connection(address, uplink, ingress!.name);
  const back: Packet = {
    ...out,
    source: out.destination,
    destination: out.source,
    sourcePort: out.destinationPort,
    destinationPort: out.sourcePort,
    input: out.output,
    output: out.input,
    state: "ESTABLISHED",
  };
  for (const [packet, what] of [[out, "from"], [back, "answers to"]] as const) {
    const verdict = walk(filter, "FORWARD", packet);
    if (!BLOCKING.has(verdict.target)) continue;
    return [problem(
      "forward_drop",
      `the agent's firewall does not forward packets ${what} ${scene.name}`,
      [
        verdict.rule
          ? `the rule that decides: ${verdict.rule.text}`
          : `no rule of FORWARD takes them, and its policy is ${verdict.target}`,
        ...doubt(verdict),
      ],
      `allow it, for example: iptables -I FORWARD ${what === "from" ? "-s" : "-d"} ${address} ` +
        "-j ACCEPT; or list the firewall plugin in the network's chain, which does so for " +
        "each container. Docker sets the policy to DROP when it starts",
    )];
  }
  return [];
}

async function masquerade(
  scene: Scene,
  { ingress, checkpoint }: Attached,
  { family, address }: NetworkAddress,
  uplink: Uplink,
): Promise<Finding[]> {
  const plugin = pluginOf(checkpoint, "bridge", "ptp");
  if (plugin?.ipMasq !== true) return [];
  const nat = await scene.rules("nat", family);
  // A bridge plugin that was told to use nftables has its rules elsewhere.
  if (!nat || plugin.ipMasqBackend === "nftables") return [];
  const packet = { ...connection(address, uplink, ingress!.name), input: undefined };
  const verdict = walk(nat, "POSTROUTING", packet);
  if (SOURCE_NAT.has(verdict.target)) return [];
  return [problem(
    "masquerade_gone",
    `nothing masquerades what ${scene.name} sends out`,
    [
      `${checkpoint!.network} has "ipMasq", so ${address} needs it`,
      verdict.rule
        ? `the rule that decides: ${verdict.rule.text}`
        : "no rule of nat POSTROUTING takes its packets",
      ...doubt(verdict),
    ],
    "somebody flushed the nat table: start the container anew, or add: iptables -t nat -A " +
      `POSTROUTING -s ${address} -o ${uplink.link.name} -j MASQUERADE`,
  )];
}

/** A new TCP connection from the container to somewhere outside. */
function connection(address: string, uplink: Uplink, input: string): Packet {
  return {
    protocol: "tcp",
    source: address,
    destination: uplink.somewhere,
    sourcePort: SOME_PORT,
    destinationPort: SOME_PORT,
    input,
    output: uplink.link.name,
    toHost: false,
    state: "NEW",
  };
}

/** Rules that might have decided before, by a match that was not followed. */
export function doubt({ unsure }: Verdict): string[] {
  return unsure.slice(0, 3).map(({ text }) => `not followed: ${text}`);
}
