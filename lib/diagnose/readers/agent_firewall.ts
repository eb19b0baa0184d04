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
import type { Scene } from "../../facts/scene.ts";
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

/** What a packet is, and which way it goes, as an accepting rule must say it. */
interface Passage {
  e: Evidence;
  device: string;
  address: string;
  protocol: string;
  /** Of the question; absent for echoes. */
  port?: number;
  /** A hook of forward knows both links, those of input and output one. */
  hook: "input" | "output" | "forward";
  isAnswer: boolean;
  isDiscovery: boolean;
}

/** What lets a question and its answer pass a chain whose policy drops. */
function acceptance(
  e: Evidence,
  drop: RuleMet,
  mechanism: KnownRule["mechanism"],
): Fix | undefined {
  const { scene, question } = e;
  const { packet, netns, input, output } = drop;
  const attached = scene.interfaces.find(({ link }) => link !== undefined);
  const device = netns === undefined ? attached?.ingress?.name : attached?.ifName;
  const address = attached?.expected.find((one) => one.family === question.family)?.address;
  if (
    !packet || packet.protocol.startsWith("arp") || device === undefined || address === undefined
  ) {
    return undefined;
  }
  const isDiscovery = packet.protocol.startsWith("nd");
  const port = question.protocol === "icmp" ? undefined : question.realPort ?? question.port;
  const hook = input !== undefined && output === undefined
    ? "input"
    : output !== undefined && input === undefined
    ? "output"
    : "forward";
  const passage: Passage = {
    e,
    device,
    address,
    protocol: packet.protocol === "icmp" || isDiscovery
      ? (question.family === 6 ? "ipv6-icmp" : "icmp")
      : packet.protocol,
    port,
    hook,
    // What comes in from the port that was asked is an answer.
    isAnswer: hook === "input" && port !== undefined && packet.sourcePort === port,
    isDiscovery,
  };
  const commands = mechanism === "iptables"
    ? iptablesRules(passage).map((rule) => [
      ...[question.family === 6 ? "ip6tables" : "iptables", "-w", "-t", drop.table],
      ...["-I", drop.chain, ...rule, "-j", "ACCEPT"],
    ])
    : mechanism === "nftables"
    ? nftRules(passage, drop).map((rule) => [
      ...["nft", "insert", "rule", drop.family, drop.table, drop.chain, ...rule, "accept"],
    ])
    : [];
  return commands.length === 0
    ? undefined
    : run(...commands.map((command) => inNetns(netns, ...command)));
}

function iptablesRules(passage: Passage): string[][] {
  const { e, device, address, protocol, port, hook, isAnswer, isDiscovery } = passage;
  const ports = port === undefined ? [] : ["--dport", String(port)];
  const answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"];
  const discovery = isDiscovery ? [["-p", protocol]] : [];
  if (isDiscovery && hook !== "forward") return discovery;
  if (isAnswer) return [["-i", device, ...answers]];
  if (hook === "input") return [["-i", device, "-p", protocol, ...ports]];
  if (hook === "output") return [["-o", device]];
  return [
    ...discovery,
    ...e.question.journey.to === "container"
      ? [
        ["-o", device, "-d", address, "-p", protocol, ...ports],
        ["-i", device, "-s", address, ...answers],
      ]
      : [["-i", device, "-s", address], ["-o", device, "-d", address, ...answers]],
  ];
}

function nftRules(passage: Passage, { family, packet }: RuleMet): string[][] {
  const { e, device, address, protocol, port, hook, isAnswer, isDiscovery } = passage;
  const ip = e.question.family === 6 ? "ip6" : "ip";
  const ports = port === undefined || protocol.includes("icmp")
    ? ["meta", "l4proto", protocol]
    : [protocol, "dport", String(port)];
  const answers = ["ct", "state", "established,related"];
  if (family === "netdev" || family === "bridge") {
    const { source, destination } = packet!;
    return [hook === "output" ? [ip, "daddr", destination] : [ip, "saddr", source]];
  }
  if (isDiscovery && hook !== "forward") return [["meta", "l4proto", protocol]];
  if (isAnswer) return [["iifname", device, ...answers]];
  if (hook === "input") return [["iifname", device, ...ports]];
  if (hook === "output") return [["oifname", device]];
  if (e.question.journey.to === "container") {
    return [
      ["oifname", device, ip, "daddr", address, ...ports],
      ["iifname", device, ip, "saddr", address, ...answers],
    ];
  }
  return [
    ...isDiscovery ? [["meta", "l4proto", protocol]] : [],
    ["iifname", device, ip, "saddr", address],
    ["oifname", device, ip, "daddr", address, ...answers],
  ];
}
