/** The rule that dropped a packet, as the kernel traced it, and what undoes that. */
import { type Finding, type Fix, inNetns, type Place, problem, shellText } from "../finding.ts";
import type { RuleMet } from "../observe/trace.ts";
import type { Question } from "../questions/question.ts";
import type { Scene } from "../scene.ts";
import type { RuleText, RuleTexts } from "./rule_text.ts";

/** @param met all rules that the packet met, in their order */
export async function ruleReasons(
  scene: Scene,
  question: Question,
  met: readonly RuleMet[],
  texts: RuleTexts,
): Promise<Finding[]> {
  const drop = met.find(({ verdict }) => verdict === "drop");
  if (!drop) return [];
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
    ],
    fix?.commands
      ? `${isPolicy ? "let it pass" : "if it is not meant so, delete it"}: ${
        fix.commands.map(shellText).join(" && ")
      }`
      : "look at that rule",
    fix,
  )];
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
  if (family !== "netdev") {
    // br_netfilter shows what is only bridged to these hooks too: in and out is the bridge.
    return input !== undefined && input === output && isBridge(scene, input) ? "bridge" : "agent";
  }
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
    } else if (isDiscovery) add("meta", "l4proto", protocol);
    else if (isInput) add("iifname", device, ...ports);
    else if (isOutput) add("oifname", device);
    else if (toContainer) {
      add("oifname", device, ip, "daddr", address, ...ports);
      add("iifname", device, ip, "saddr", address, "ct", "state", "established,related");
    } else {
      add("iifname", device, ip, "saddr", address);
      add("oifname", device, ip, "daddr", address, "ct", "state", "established,related");
    }
  }
  return commands.length === 0
    ? undefined
    : { what: `let it pass in ${table} ${chain}, and its answers`, commands };
}
