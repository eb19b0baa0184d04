/** Rules that dropped the packet or took it away, as the kernel traced them, and what undoes that. */
import {
  type Cause,
  cause,
  type Fix,
  inNetns,
  type Place,
  removing,
  run,
} from "../../facts/cause.ts";
import { givenTo, type Scene } from "../../facts/scene.ts";
import type { Evidence } from "../evidence.ts";
import type { KnownRule } from "../observe/rules.ts";
import type { RuleMet } from "../observe/trace.ts";
import { firewalldRemedy } from "./firewalld.ts";
import type { Reader } from "./reader.ts";

/** The rule that the kernel says dropped it. */
export const droppingRule: Reader = {
  name: "the rule that dropped it",
  applies: ({ rules }) => rules.some(isDrop),
  read: async (e) => [await droppedBy(e, e.rules.find(isDrop)!)],
};

/** A rule that gives the packet to somebody else (queue, fwd): after it there is no other. */
export const takingRule: Reader = {
  name: "the rule that took it",
  applies: ({ rules }) => rules.some((one) => isTaken(one, rules)),
  read: async (e) => [await takenBy(e, e.rules.find((one) => isTaken(one, e.rules))!)],
};

/** A hop says that the packet is too large for it, and a rule keeps its word away. */
export const silencingRule: Reader = {
  name: "the rule that dropped an error of the way",
  applies: (e) => e.question.sizes === true && errorsDropped(e) !== undefined,
  read: async (e) => [await droppedBy(e, errorsDropped(e)!)],
};

const isDrop = ({ verdict }: RuleMet) => verdict === "drop";

function isTaken(one: RuleMet, all: readonly RuleMet[]): boolean {
  return (one.verdict === "queue" || one.verdict === "stolen") && one.kind === "rule" &&
    all.findLast(({ id }) => id === one.id) === one;
}

function errorsDropped({ rulesOfErrors, question }: Evidence): RuleMet | undefined {
  return rulesOfErrors.find(({ verdict, packet }) =>
    verdict === "drop" && packet!.source.includes(":") === (question.family === 6)
  );
}

/** The cause that is a rule, or a policy, which dropped a packet. */
export async function droppedBy(e: Evidence, drop: RuleMet): Promise<Cause> {
  const { scene } = e;
  const { ref, mechanism, remove } = await e.ruleOf(drop);
  const isPolicy = drop.kind === "policy";
  const { packet, netns } = drop;
  const ingress = scene.interfaces.find(({ ingress }) =>
    ingress !== undefined && ingress.index === drop.input
  )?.ingress;
  const zone = !isPolicy && netns === undefined && ingress
    ? firewalldRemedy(drop, ingress.name)
    : undefined;
  // br_netfilter shows what is only bridged to these hooks too: in and out is the bridge.
  const isBridged = drop.family !== "bridge" && drop.input !== undefined &&
    drop.input === drop.output &&
    scene.interfaces.some(({ bridge }) => bridge?.link?.index === drop.input);
  return cause(
    isPolicy ? "policy_drop" : "rule_drop",
    [mechanism, placeOf(scene, drop)],
    { container: whose(scene, netns), rule: ref, why: what(packet?.protocol), value: zone },
    [
      { rule: ref, verdict: "drop" },
      ...packet ? [`the packet: ${packet.protocol} ${packet.source} → ${packet.destination}`] : [],
      ...isBridged
        ? [
          "what is only bridged meets the rules of IP as well (net.bridge.bridge-nf-call-iptables)",
        ]
        : [],
    ],
    zone
      ? undefined
      : isPolicy
      ? acceptance(e, drop, mechanism)
      : remove && removing(ref.text, remove),
  );
}

async function takenBy(e: Evidence, taken: RuleMet): Promise<Cause> {
  const { ref, mechanism, remove } = await e.ruleOf(taken);
  const isQueue = taken.verdict === "queue";
  const readers = isQueue ? e.kernel.queueReaders(taken.netns) : [];
  return cause(
    isQueue ? "rule_queues" : "rule_takes",
    [mechanism, placeOf(e.scene, taken)],
    {
      container: whose(e.scene, taken.netns),
      rule: ref,
      value: readers.length > 0 ? readers.join(", ") : undefined,
    },
    [
      { rule: ref, verdict: taken.verdict },
      ...readers.length > 0
        ? [`queues that are read, by whom: ${readers.join(", ")}`]
        : isQueue
        ? ["/proc/net/netfilter/nfnetlink_queue names no reader"]
        : [],
    ],
    remove && removing(ref.text, remove),
  );
}

function what(protocol: string | undefined): string | undefined {
  if (protocol?.startsWith("arp")) return "ARP";
  return protocol?.startsWith("nd") ? "neighbour discovery" : undefined;
}

/** Whose namespace a rule is in; the agent's is nobody's. */
function whose({ inside, name }: Scene, netns: string | undefined): string | undefined {
  if (netns === undefined) return undefined;
  return netns === inside.netns ? name : "the neighbour";
}

/** Where a hook is. */
export function placeOf(scene: Scene, { netns, family, input, output }: RuleMet): Place {
  if (netns !== undefined) return netns === scene.inside.netns ? "container" : "neighbour";
  if (family === "bridge") return "bridge";
  if (family !== "netdev") return "agent";
  const device = scene.host.linkAt(input ?? output)?.name;
  const place = device === undefined ? "uplink" : scene.placeOf(device);
  return place === "host-veth" || place === "bridge" ? place : "uplink";
}

/** What an accepting rule asks for, in no program's words. */
interface Match {
  from?: string;
  to?: string;
  input?: string;
  output?: string;
  protocol?: string;
  port?: number;
  /** Whether it is for answers alone. */
  answers?: boolean;
}

/** What lets a question and its answer pass a chain whose policy drops. */
function acceptance(
  { scene, question }: Evidence,
  drop: RuleMet,
  mechanism: KnownRule["mechanism"],
): Fix | undefined {
  const { packet, netns, family } = drop;
  const attached = scene.interfaces.find(({ link }) => link !== undefined);
  const device = netns === undefined ? attached?.ingress?.name : attached?.ifName;
  const address = attached && givenTo(attached, question.family)?.address;
  if (
    !packet || packet.protocol.startsWith("arp") || device === undefined || address === undefined
  ) {
    return undefined;
  }
  const matches = matchesFor(question, drop, packet, device, address);
  const ip = question.family === 6 ? "ip6" : "ip";
  const program = `${ip}tables`;
  const commands = matches.map((match) =>
    mechanism === "iptables"
      ? [program, "-w", "-t", drop.table, "-I", drop.chain, ...iptablesWords(match), "-j", "ACCEPT"]
      : ["nft", "insert", "rule", family, drop.table, drop.chain, ...nftWords(match, ip), "accept"]
  );
  return mechanism === "iptables" || mechanism === "nftables"
    ? run(...commands.map((command) => inNetns(netns, ...command)))
    : undefined;
}

/** A hook of forward knows both links and needs both ways; those of input and output one. */
function matchesFor(
  { family, protocol: asked, port: at, realPort = at, journey }: Evidence["question"],
  { family: table, input, output }: RuleMet,
  packet: NonNullable<RuleMet["packet"]>,
  device: string,
  address: string,
): Match[] {
  const hook = output === undefined && input !== undefined
    ? "input"
    : input === undefined && output !== undefined
    ? "output"
    : "forward";
  const isDiscovery = packet.protocol.startsWith("nd");
  const icmp = family === 6 ? "ipv6-icmp" : "icmp";
  const protocol = packet.protocol === "icmp" || isDiscovery ? icmp : packet.protocol;
  const port = asked === "icmp" ? undefined : realPort;
  if (table === "netdev" || table === "bridge") {
    return [hook === "output" ? { to: packet.destination } : { from: packet.source }];
  }
  const discovery = isDiscovery ? [{ protocol }] : [];
  if (isDiscovery && hook !== "forward") return discovery;
  if (hook === "output") return [{ output: device }];
  if (hook === "input") {
    // What comes in from the port that was asked is an answer.
    return port !== undefined && packet.sourcePort === port
      ? [{ input: device, answers: true }]
      : [{ input: device, protocol, port }];
  }
  return journey.to === "container"
    ? [...discovery, { output: device, to: address, protocol, port }, {
      input: device,
      from: address,
      answers: true,
    }]
    : [...discovery, { input: device, from: address }, {
      output: device,
      to: address,
      answers: true,
    }];
}

function iptablesWords({ from, to, input, output, protocol, port, answers }: Match): string[] {
  return [
    ...input ? ["-i", input] : [],
    ...output ? ["-o", output] : [],
    ...from ? ["-s", from] : [],
    ...to ? ["-d", to] : [],
    ...protocol ? ["-p", protocol] : [],
    ...port ? ["--dport", String(port)] : [],
    ...answers ? ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"] : [],
  ];
}

function nftWords(match: Match, ip: string): string[] {
  const { from, to, input, output, protocol, port, answers } = match;
  return [
    ...input ? ["iifname", input] : [],
    ...output ? ["oifname", output] : [],
    ...from ? [ip, "saddr", from] : [],
    ...to ? [ip, "daddr", to] : [],
    ...protocol && !port ? ["meta", "l4proto", protocol] : [],
    ...protocol && port ? [protocol, "dport", String(port)] : [],
    ...answers ? ["ct", "state", "established,related"] : [],
  ];
}
