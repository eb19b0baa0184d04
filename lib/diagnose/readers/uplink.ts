/** The packet has left the agent, and nothing comes back; or its way out leads to no wire. */
import { type Cause, cause, type Fix, RECOVER, removing, run } from "../../facts/cause.ts";
import { readPluginRules } from "../../facts/readers/ports.ts";
import { attachedComment } from "../../firewall/owner.ts";
import { portState } from "../../facts/readers/bridge.ts";
import { type Attached, pluginOf, type Scene } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Evidence } from "../evidence.ts";
import { swallowingHops } from "../paths.ts";
import { ofAgent, ruleThat, untrackingCause } from "./changing_rule.ts";
import { routeCauses } from "./agent_routing.ts";
import { nearly } from "./nearly.ts";
import { firstOf, type Reader } from "./reader.ts";

function isOutside({ trail: { before, after } }: Evidence): boolean {
  return before?.way === "there" && after?.way === "back" && before.stop.place === "uplink";
}

/** What lies between the agent and an answer, nearest first. */
export const outside: Reader = {
  name: "the far side of the agent's way out",
  applies: isOutside,
  read: (e) =>
    firstOf(
      ...[back, masquerade, hardware, wire, sharedAddress, hop, size, silent].map((look) => () =>
        look(e)
      ),
    ),
};

const back = (e: Evidence) => routeCauses(e, true);

/** A packet that leaves with the container's own address gets no answer where nobody knows it. */
async function masquerade(e: Evidence): Promise<Cause[]> {
  const { scene, trail, rules } = e;
  const { source } = trail.seen[trail.last]!.packet;
  const device = trail.before!.stop.link.name;
  const container = scene.name;
  if (scene.host.ownerOf(source)) return [];
  const attached = scene.interfaces.find(({ expected }) =>
    expected.some(({ address }) => address === source)
  );
  const left = `seen leaving by ${device} from ${source}`;
  if (!attached) {
    // Translated, but to an address that is not the agent's.
    if (scene.inside.ownerOf(source)) return [];
    const rule = await ruleThat(e, "snat");
    return [cause(
      "wrong_snat",
      ["masquerade", "agent"],
      { device, address: source, rule: rule?.ref },
      [left],
      rule?.remove && removing(rule.ref.text, rule.remove),
    )];
  }
  if (pluginOf(attached.checkpoint, "bridge", "ptp")?.ipMasq !== true) return [];
  // What came before the container's own rule, and took the packet.
  const called = new Set(rules.flatMap(({ jump }) => jump ?? []));
  const passed = ofAgent(rules).find(({ verdict, chain, table }) =>
    /post/i.test(chain) && table !== "mangle" &&
    // To return from a chain that no other has called is to go by its policy.
    (verdict === "accept" || (verdict === "return" && !called.has(chain)))
  );
  const taken = passed && await e.ruleOf(passed);
  if (taken?.remove) {
    return [cause(
      "masquerade_shadowed",
      ["masquerade", "agent"],
      { container, rule: taken.ref },
      [`${left}, its own address`, { rule: taken.ref, verdict: passed!.verdict }],
      removing(taken.ref.text, taken.remove),
    )];
  }
  const untracking = await ruleThat(e, "notrack", "zone");
  if (untracking) return [untrackingCause(untracking, [`${left}, its own address`])];
  const [near] = await nearly(
    scene,
    ["POSTROUTING"],
    ({ target }) => target !== undefined && "masquerade" in target,
  );
  return [cause(
    "masquerade_gone",
    ["masquerade", "agent"],
    { container, network: attached.checkpoint!.network, device, address: source, route: near },
    [
      `${attached.checkpoint!.network} has "ipMasq", and its packet was ${left}`,
      "no rule of postrouting translated it",
    ],
    await masqueradeFix(scene, attached, source, device),
  )];
}

/** Where the plugin's own rules are there, and something else is in their way, one more before them. */
async function masqueradeFix(
  scene: Scene,
  { checkpoint, expected }: Attached,
  source: string,
  device: string,
): Promise<Fix> {
  const { causes } = await readPluginRules(scene);
  if (causes.length > 0) return RECOVER;
  const { prefixLength } = expected.find(({ address }) => address === source)!;
  const program = source.includes(":") ? "ip6tables" : "iptables";
  const comment = attachedComment({
    network: checkpoint!.network,
    containerId: scene.container!.id,
  });
  return run([
    ...[program, "-w", "-t", "nat", "-I", "POSTROUTING", "-s", source],
    ...["!", "-d", `${source}/${prefixLength}`, "-o", device],
    // By its owner's mark the container's end removes it.
    ...["-m", "comment", "--comment", comment, "-j", "MASQUERADE"],
  ]);
}

/** Who answers for the next hop, against where the frame went. */
async function nextHop(e: Evidence) {
  const { scene, question, trail } = e;
  const { link } = trail.before!.stop;
  const { to } = trail.seen[trail.last]!;
  // Of several the kernel chooses for each connection anew, and an agent's own may go by another.
  const taken = scene.host.entryTo(question.destination)?.hops?.find(({ gateway, link: index }) =>
    to !== undefined && gateway !== undefined && index === link.index &&
    scene.host.neighbourNow(gateway, link)?.mac === to
  );
  const address = taken?.gateway ?? scene.host.wayTo(question.destination).route?.gateway ??
    question.destination;
  const own = scene.host.addressesOf(link).find(({ family }) =>
    (family === "inet6") === (question.family === 6)
  )?.address;
  return { link, address, own, answers: await e.kernel.whoHas(undefined, link, address, own) };
}

async function hardware(e: Evidence): Promise<Cause[]> {
  const { link, address, answers } = await nextHop(e);
  const to = e.trail.seen[e.trail.last]!.to;
  if (to === undefined || answers.length === 0 || answers.includes(to)) return [];
  const entry = e.scene.host.neighbourNow(address, link);
  return [cause(
    "wrong_mac",
    ["neighbour", "uplink"],
    { address, device: link.name, mac: to, wanted: answers.join(", ") },
    [`its neighbour table: ${address} lladdr ${entry?.mac} ${entry?.state}`],
    run(["ip", "neighbour", "del", address, "dev", link.name]),
  )];
}

/** Of several next hops the one by which it went may pass nothing on. */
const hop = ({ scene, kernel, question, trail }: Evidence) =>
  swallowingHops(scene.host, kernel, question, trail.seen[trail.last]!.to);

const wire = ({ scene, trail }: Evidence) => withoutPort(scene, trail.before!.stop.link);

/** Somebody beyond who has the agent's own address takes its packets for his own. */
async function sharedAddress(e: Evidence): Promise<Cause[]> {
  const { link, own } = await nextHop(e);
  if (own === undefined || own.includes(":")) return [];
  const answers = await e.kernel.whoHas(undefined, link, own, "nobody");
  const others = answers.filter((mac) => mac !== link.mac);
  if (others.length === 0) return [];
  return [cause("duplicate_address", ["duplicate", "outside"], {
    address: own,
    device: link.name,
    mac: others.join(", "),
  }, [{ asked: own, on: link.name, answers }, `${link.name} is ${link.mac}`])];
}

/** Above it a packet was made large to ask for the size of the path. */
const LARGE = 1000;

function size({ scene, trail }: Evidence): Cause[] {
  const { link } = trail.before!.stop;
  const bytes = trail.seen[trail.last]!.length;
  if (bytes <= LARGE) return [];
  const port = scene.host.links.find(({ master, mtu }) => master === link.index && mtu < bytes);
  if (port) {
    return [cause(
      "mtu_too_small",
      ["mtu", "uplink"],
      { device: port.name, other: link.name, mtu: port.mtu, bytes, why: "port of a bridge" },
      [`the MTU of ${port.name} is ${port.mtu}, of ${link.name} ${link.mtu}`],
      run(["ip", "link", "set", port.name, "mtu", String(link.mtu)]),
    )];
  }
  return [cause("pmtu_black_hole", ["mtu", "outside"], { device: link.name, bytes }, [
    `a packet of ${bytes} bytes with DF was seen leaving by ${link.name}`,
  ])];
}

async function silent(e: Evidence): Promise<Cause[]> {
  const { question, trail, scene } = e;
  const { link, address, answers } = await nextHop(e);
  const { packet, to } = trail.seen[trail.last]!;
  const isDns = question.topic === "dns";
  const ofAgent = await e.kernel.agentAsks(question);
  return [cause(
    "outside_silent",
    [isDns ? "dns" : answers.length === 0 ? "neighbour" : "route", "outside"],
    {
      container: ofAgent === "answered" ? scene.name : undefined,
      address: question.destination,
      device: link.name,
      other: packet.source,
      why: ofAgent === "answered" ? "the agent alone" : isDns ? "dns" : undefined,
    },
    [
      `it left as ${packet.source} → ${packet.destination}${to ? ` to ${to}` : ""}`,
      { asked: address, on: link.name, answers },
      `the agent itself asked ${question.destination}: ${ofAgent}`,
    ],
  )];
}

/** A way out that is a bridge, and leads to no wire. */
export function withoutPort({ host, agent }: Scene, link: Link): Cause[] {
  if (link.kind !== "bridge") return [];
  const ports = host.links.filter(({ master }) => master === link.index);
  const live = ports.filter(({ carrier, flags }) => carrier && flags.includes("UP"));
  for (const port of live) {
    const state = agent.portOf(port)?.state;
    if (state === undefined || state === "forwarding") continue;
    return [portState(port.name, link.name, state, "uplink")];
  }
  if (live.length > 0) return [];
  const isFarEnd = ports.some(({ flags }) => flags.includes("UP"));
  return [cause("no_carrier", ["link", isFarEnd ? "outside" : "uplink"], {
    device: link.name,
    other: ports.map(({ name }) => name).join(", "),
    why: ports.length === 0 ? "no port" : isFarEnd ? "no carrier at its ports" : "no port up",
  }, [{ device: link.name, flags: link.flags, state: link.operState }])];
}
