/** The rule that dropped a packet, as the kernel traced it, and what undoes that. */
import { type Finding, type Fix, inNetns, type Place, problem, shellText } from "../finding.ts";
import { readProcFile } from "../../kernel/files.ts";
import { SystemError } from "../../kernel/libc.ts";
import { inNamespaces } from "../../kernel/namespaces.ts";
import type { RuleMet } from "../observe/trace.ts";
import type { Question } from "../questions/question.ts";
import type { Scene } from "../scene.ts";
import { firewalldRemedy } from "./firewalld.ts";
import type { RuleText, RuleTexts } from "./rule_text.ts";

/** @param met all rules that the packet met, in their order */
export async function ruleReasons(
  scene: Scene,
  question: Question,
  met: readonly RuleMet[],
  texts: RuleTexts,
): Promise<Finding[]> {
  const drop = met.find(({ verdict }) => verdict === "drop");
  if (!drop) return await takenReasons(scene, met, texts);
  const text = await texts.of(drop);
  const place = placeOf(scene, drop);
  const where = `${text.program} ${
    drop.family === "ip" || drop.family === "ip6" || text.program !== "nft" ? "" : `${drop.family} `
  }${drop.table} ${drop.chain}`;
  const isPolicy = drop.kind === "policy";
  const fix = isPolicy ? accept(scene, question, drop, text) : text.remove && {
    what: `delete that rule of ${drop.table} ${drop.chain}`,
    commands: [text.remove],
  };
  const packet = drop.packet;
  const ingress = scene.interfaces.find(({ ingress }) =>
    ingress !== undefined && ingress.index === drop.input
  )?.ingress;
  const zone = !isPolicy && drop.netns === undefined && ingress &&
    firewalldRemedy(drop, ingress.name);
  return [problem(
    isPolicy ? "policy_drop" : "rule_drop",
    [text.mechanism, place],
    isPolicy
      ? `the policy of ${where} drops ${what(packet?.protocol)}${
        inside(scene, drop, " in ")
      }: no rule takes it`
      : `a rule of ${where} drops ${what(packet?.protocol)}${
        inside(scene, drop, " in ")
      }: ${text.text}`,
    [
      `the kernel's trace: ${drop.family} ${drop.table} ${drop.chain} ${
        isPolicy ? "policy" : `rule handle ${drop.handle}`
      } (verdict drop)`,
      ...packet ? [`the packet: ${packet.protocol} ${packet.source} → ${packet.destination}`] : [],
      // br_netfilter shows what is only bridged to these hooks too: in and out is the bridge.
      ...drop.family !== "bridge" && drop.input !== undefined && drop.input === drop.output &&
          isBridge(scene, drop.input)
        ? [
          "what is only bridged meets the rules of IP as well (net.bridge.bridge-nf-call-iptables)",
        ]
        : [],
    ],
    zone
      ? zone
      : fix?.commands
      ? `${isPolicy ? "let it pass" : "if it is not meant so, delete it"}: ${
        fix.commands.map(shellText).join(" && ")
      }`
      : "look at that rule",
    zone ? undefined : fix,
  )];
}

/** A rule that gives the packet to somebody else (queue, fwd): after it there is no other. */
async function takenReasons(
  scene: Scene,
  met: readonly RuleMet[],
  texts: RuleTexts,
): Promise<Finding[]> {
  const taken = met.find((one) =>
    (one.verdict === "queue" || one.verdict === "stolen") && one.kind === "rule" &&
    met.findLast(({ id }) => id === one.id) === one
  );
  if (!taken) return [];
  const text = await texts.of(taken);
  const isQueue = taken.verdict === "queue";
  const readers = isQueue ? queueReaders(taken.netns) : [];
  return [problem(
    isQueue ? "rule_queues" : "rule_takes",
    [text.mechanism, placeOf(scene, taken)],
    isQueue
      ? `a rule of ${text.program} ${taken.table} ${taken.chain} hands the packet to a queue of NFQUEUE${
        readers.length === 0 ? ", which no program reads" : ", and it does not come back from there"
      }: ${text.text}`
      : `a rule of ${text.program} ${taken.table} ${taken.chain} takes the packet away: ${text.text}`,
    [
      `the kernel's trace: ${taken.family} ${taken.table} ${taken.chain} rule handle ${taken.handle} (verdict ${taken.verdict})`,
      ...readers.length > 0
        ? [`queues that are read, by whom: ${readers.join(", ")}`]
        : isQueue
        ? ["/proc/net/netfilter/nfnetlink_queue names no reader"]
        : [],
    ],
    text.remove
      ? `${
        isQueue ? "start the program that should read it, or" : "if it is not meant so,"
      } delete it: ${shellText(text.remove)}`
      : "look at that rule",
    text.remove &&
      { what: `delete that rule of ${taken.table} ${taken.chain}`, commands: [text.remove] },
  )];
}

/** `queue 5 by port 1234`, of each queue that a program has bound. */
function queueReaders(netns: string | undefined): string[] {
  const read = () => {
    try {
      return readProcFile("/proc/thread-self/net/netfilter/nfnetlink_queue");
    } catch (error) {
      if (error instanceof SystemError) return "";
      throw error;
    }
  };
  const text = netns === undefined ? read() : inNamespaces({ net: netns }, read);
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const [queue, port] = line.trim().split(/\s+/);
    return `queue ${queue} by port ${port}`;
  });
}

function what(protocol: string | undefined): string {
  return protocol?.startsWith("arp")
    ? "ARP"
    : protocol?.startsWith("nd")
    ? "neighbour discovery"
    : "the packet";
}

function inside({ inside, name }: Scene, { netns }: RuleMet, before: string): string {
  return netns === undefined
    ? ""
    : netns === inside.netns
    ? `${before}${name}`
    : `${before}the neighbour`;
}

/** Where a hook is. */
export function placeOf(scene: Scene, { netns, family, input, output }: RuleMet): Place {
  if (netns !== undefined) return netns === scene.inside.netns ? "container" : "neighbour";
  if (family === "bridge") return "bridge";
  if (family !== "netdev") return "agent";
  const device = input ?? output;
  if (scene.interfaces.some(({ hostEnd }) => hostEnd?.index === device)) return "host-veth";
  if (scene.interfaces.some(({ bridge }) => bridge?.link?.index === device)) return "bridge";
  return "uplink";
}

function isBridge({ interfaces }: Scene, index: number): boolean {
  return interfaces.some(({ bridge }) => bridge?.link?.index === index);
}

/** What lets a question and its answer pass a chain whose policy drops. */
function accept(scene: Scene, question: Question, drop: RuleMet, text: RuleText): Fix | undefined {
  const { packet, netns, family, table, chain } = drop;
  if (!packet || packet.protocol === "arp request" || packet.protocol === "arp reply") {
    return undefined;
  }
  const attached = scene.interfaces.find(({ link }) => link !== undefined);
  const device = netns === undefined ? attached?.ingress?.name : attached?.ifName;
  const address = attached?.expected.find((one) => one.family === question.family)?.address;
  if (device === undefined || address === undefined) return undefined;
  const protocol = packet.protocol === "icmp" || packet.protocol.startsWith("nd")
    ? (question.family === 6 ? "ipv6-icmp" : "icmp")
    : packet.protocol;
  const port = question.protocol === "icmp" ? undefined : question.realPort ?? question.port;
  // A hook of forward knows both links, those of input and output one.
  const isInput = drop.input !== undefined && drop.output === undefined;
  const isOutput = drop.output !== undefined && drop.input === undefined;
  // What comes in from the port that was asked is an answer.
  const isAnswer = isInput && port !== undefined && packet.sourcePort === port;
  const isDiscovery = packet.protocol.startsWith("nd");
  const toContainer = question.journey.to === "container";
  const commands: string[][] = [];
  if (text.mechanism === "iptables") {
    const add = (...rule: string[]) =>
      commands.push(
        inNetns(netns, text.program, "-w", "-t", table, "-I", chain, ...rule, "-j", "ACCEPT"),
      );
    const ports = port === undefined ? [] : ["--dport", String(port)];
    const answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"];
    if (isDiscovery) add("-p", protocol);
    if (isDiscovery && (isInput || isOutput)) {
      return { what: `let it pass in ${table} ${chain}`, commands };
    }
    if (isAnswer) add("-i", device, ...answers);
    else if (isInput) add("-i", device, "-p", protocol, ...ports);
    else if (isOutput) add("-o", device);
    else if (toContainer) {
      add("-o", device, "-d", address, "-p", protocol, ...ports);
      add("-i", device, "-s", address, ...answers);
    } else {
      add("-i", device, "-s", address);
      add("-o", device, "-d", address, ...answers);
    }
  } else if (text.mechanism === "nftables") {
    const ip = question.family === 6 ? "ip6" : "ip";
    const add = (...rule: string[]) =>
      commands.push(
        inNetns(netns, "nft", "insert", "rule", family, table, chain, ...rule, "accept"),
      );
    const ports = port === undefined || protocol.includes("icmp")
      ? ["meta", "l4proto", protocol]
      : [protocol, "dport", String(port)];
    if (family === "netdev" || family === "bridge") {
      add(ip, isOutput ? "daddr" : "saddr", packet.source);
    } else if (isDiscovery && (isInput || isOutput)) add("meta", "l4proto", protocol);
    else if (isAnswer) add("iifname", device, "ct", "state", "established,related");
    else if (isInput) add("iifname", device, ...ports);
    else if (isOutput) add("oifname", device);
    else if (toContainer) {
      add("oifname", device, ip, "daddr", address, ...ports);
      add("iifname", device, ip, "saddr", address, "ct", "state", "established,related");
    } else {
      if (isDiscovery) add("meta", "l4proto", protocol);
      add("iifname", device, ip, "saddr", address);
      add("oifname", device, ip, "daddr", address, "ct", "state", "established,related");
    }
  }
  return commands.length === 0
    ? undefined
    : { what: `let it pass in ${table} ${chain}, and its answers`, commands };
}
