/** Rules that dropped the packet or took it away, as the kernel traced them, and what undoes that. */
import {
  type Cause,
  cause,
  type Fix,
  type Place,
  removing,
  type RuleRef,
  type Values,
} from "../../facts/cause.ts";
import type { Scene } from "../../facts/scene.ts";
import { shellText } from "../../facts/sentences.ts";
import type { Link } from "../../netlink/mod.ts";
import type { LegacyCounter } from "../observe/counters.ts";
import type { Kernel } from "../observe/kernel.ts";
import type { KnownRule } from "../observe/rules.ts";
import type { Evidence } from "../evidence.ts";
import type { RuleMet } from "../observe/trace.ts";
import { sideOf } from "./policy.ts";
import { type Reader, ruleCause } from "./reader.ts";

/** The rule that the kernel says dropped it. */
export const droppingRule: Reader = async (e) => {
  const drop = e.rules.find(({ verdict }) => verdict === "drop");
  return drop ? [await droppedBy(e, drop)] : [];
};

/** A rule that gives the packet to somebody else (queue, fwd): after it there is no other. */
export const takingRule: Reader = async (e) => {
  const taken = e.rules.find((one) =>
    (one.verdict === "queue" || one.verdict === "stolen") && one.kind === "rule" &&
    e.rules.findLast(({ id }) => id === one.id) === one
  );
  return taken ? [await takenBy(e, taken)] : [];
};

/** A hop says that the packet is too large for it, and a rule keeps its word away. */
export const silencingRule: Reader = async (e) => {
  const { question: { sizes, family }, failure, rulesOfErrors } = e;
  const drop = (sizes || failure.kind === "stuck") &&
    rulesOfErrors.find(({ verdict, packet }) =>
      verdict === "drop" && packet!.source.includes(":") === (family === 6)
    );
  return drop ? [await droppedBy(e, drop)] : [];
};

/** The cause that is a rule, or a policy, which dropped a packet. */
export async function droppedBy(e: Evidence, drop: RuleMet): Promise<Cause> {
  const { scene } = e;
  const { packet, netns, input, output } = drop;
  const rule = await e.ruleOf(drop);
  const { fix, ...about } = await remedyOf(e, drop, rule);
  // br_netfilter shows what is only bridged to these hooks too: in and out is the bridge.
  const isBridged = drop.family !== "bridge" && input !== undefined && input === output &&
    scene.interfaces.some(({ bridge }) => bridge?.link?.index === input);
  return cause(
    drop.kind === "policy" ? "policy_drop" : "rule_drop",
    [rule.mechanism, placeOf(scene, drop)],
    {
      container: sideOf(scene, netns).container,
      rule: rule.ref,
      why: what(packet?.protocol),
      ...about,
    },
    [
      { rule: rule.ref, verdict: "drop" },
      ...packet ? [`the packet: ${packet.protocol} ${packet.source} → ${packet.destination}`] : [],
      ...isBridged ? [BRIDGED] : [],
    ],
    fix,
  );
}

const BRIDGED =
  "what is only bridged meets the rules of IP as well (net.bridge.bridge-nf-call-iptables)";

/** What undoes a drop, or says what to do instead. */
async function remedyOf(
  e: Evidence,
  drop: RuleMet,
  { ref, remove }: KnownRule,
): Promise<Values & { fix?: Fix }> {
  const { packet, netns } = drop;
  if (drop.kind === "policy") return { fix: acceptance(e, ref, hookOf(drop), packet) };
  const ingress = e.scene.interfaces.map(({ ingress }) => ingress)
    .find((one) => one !== undefined && one.index === drop.input);
  const zone = netns === undefined && ingress && firewalldRemedy(drop, ingress.name);
  if (zone) return { value: zone };
  // Who is in such a list is there for what it asked before, and these questions are many.
  if (/ -m recent /.test(ref.text)) {
    const value =
      "see who is in its list (/proc/net/xt_recent): a diagnosis asks often, and may be in it itself";
    return { value };
  }
  if (!remove) return {};
  // Of who is in a set, the entry is taken away, and not the rule, which keeps others out too.
  const named = packet && netns === undefined ? await e.kernel.namedAddresses() : undefined;
  const banned = named?.get(packet!.source)?.find(({ set }) =>
    ref.text.split(/[\s@]+/).includes(set)
  );
  if (!banned) return { fix: removing(ref.text, remove) };
  const { source: address } = packet!;
  const fix = removing(`${address} from the set ${banned.set}`, banned.remove);
  return { address, other: banned.set, fix };
}

/**
 * Who seems silent has answered, if a rule of the agent drops what asks for him or what he says. A packet that
 * waits for his answer asks by itself only now and then, so he is asked here.
 */
export async function ruleAgainst(
  kernel: Pick<Kernel, "dropOfAsking">,
  link: Link,
  address: string,
): Promise<Cause[]> {
  const dropped = await kernel.dropOfAsking(link, address);
  if (!dropped) return [];
  const { met: { packet }, rule } = dropped;
  const seen = `${packet?.protocol} about ${address} on ${link.name}`;
  const code = rule.ref.handle === undefined ? "policy_drop" : "rule_drop";
  const proofs = [{ rule: rule.ref, verdict: "drop" }, seen];
  return [ruleCause(code, rule, proofs, { why: what(packet?.protocol) })];
}

async function takenBy(e: Evidence, taken: RuleMet): Promise<Cause> {
  const rule = await e.ruleOf(taken);
  const isQueue = taken.verdict === "queue";
  const value = isQueue ? e.kernel.queueReaders(taken.netns).join(", ") || undefined : undefined;
  const seen = { rule: rule.ref, verdict: taken.verdict };
  const readers = `/proc/net/netfilter/nfnetlink_queue names ${value ?? "no reader"}`;
  return ruleCause(
    isQueue ? "rule_queues" : "rule_takes",
    rule,
    isQueue ? [seen, readers] : [seen],
    { container: sideOf(e.scene, taken.netns).container, value },
    { place: placeOf(e.scene, taken) },
  );
}

function what(protocol: string | undefined): string | undefined {
  if (protocol?.startsWith("arp")) return "ARP";
  return protocol?.startsWith("nd") ? "neighbour discovery" : undefined;
}

/** Where a hook is. */
export function placeOf(scene: Scene, { netns, family, input, output }: RuleMet): Place {
  const side = sideOf(scene, netns).place;
  if (side !== "agent") return side;
  if (family === "bridge") return "bridge";
  if (family !== "netdev") return "agent";
  const device = scene.host.linkAt(input ?? output)?.name;
  const place = device === undefined ? "uplink" : scene.placeOf(device);
  return place === "host-veth" || place === "bridge" ? place : "uplink";
}

type Hook = "input" | "output" | "forward";

/**
 * What lets pass, in a chain of the agent whose policy drops, what containers send, its answers and
 * what is for their ports; into the agent itself, what was asked alone.
 */
function acceptance(
  { scene, question }: Evidence,
  { program, family, table, chain }: RuleRef,
  hook: Hook,
  packet?: RuleMet["packet"],
): Fix | undefined {
  const device = scene.interfaces.find(({ link }) => link !== undefined)?.ingress?.name;
  if (device === undefined || !["ip", "ip6", "inet"].includes(family)) return undefined;
  const { protocol, family: of } = question;
  const port = question.realPort ?? question.port;
  const isIcmp = protocol === "icmp" || /^(icmp|nd)/.test(packet?.protocol ?? "");
  const isAnswer = !isIcmp && packet?.sourcePort === port;
  const name = !isIcmp ? protocol : of === 6 ? "ipv6-icmp" : "icmp";
  const isNft = program === "nft";
  const answers = isNft
    ? [["ct", "state", "established,related"], ["ct", "status", "dnat"]]
    : [["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT"]];
  const asked = isNft
    ? isIcmp ? ["meta", "l4proto", name] : [name, "dport", `${port}`]
    : ["-p", name, ...isIcmp ? [] : ["--dport", `${port}`]];
  const insert = isNft
    ? ["nft", "insert", "rule", family, table, chain]
    : [program, "-w", "-t", table, "-I", chain];
  const accept = isNft ? ["accept"] : ["-j", "ACCEPT"];
  const accepting = (way: "i" | "o", match: readonly string[] = []) => {
    const by = isNft ? `${way}ifname` : `-${way}`;
    return [...insert, by, device, ...match, ...accept];
  };
  const commands = {
    forward: [accepting("i"), ...answers.map((match) => accepting("o", match))],
    input: [accepting("i", isAnswer ? answers[0] : asked)],
    output: [accepting("o")],
  };
  const what = `the policy of ${program} ${table} ${chain} for ${device}`;
  return removing(what, ...commands[hook]);
}

/** A hook of forward knows both links, those of input and output one. */
function hookOf({ input, output }: RuleMet): Hook {
  return output === undefined ? "input" : input === undefined ? "output" : "forward";
}

/** Of what comes in or is forwarded, by zone: `filter_FWD_public` of nftables, `FWD_public` of iptables. */
const ZONE_CHAIN = /^(?:filter_)?(?:FWD|FWDI|FWDO|IN)_(.+)$/;

/**
 * What lets a container's packets pass that a zone of firewalld refuses: a rule that is deleted is there again
 * after the next reload.
 *
 * @param device where the agent sees them arrive
 * @returns undefined for rules that are not a zone's
 */
export function firewalldRemedy(
  { table, chain }: Pick<RuleMet, "table" | "chain">,
  device: string,
): string | undefined {
  const zone = ZONE_CHAIN.exec(chain)?.[1];
  if (zone === undefined || (table !== "firewalld" && table !== "filter")) return undefined;
  const command = ["firewall-cmd", "--zone=trusted", `--change-interface=${device}`];
  const lasting = ["firewall-cmd", "--permanent", ...command.slice(1)];
  return `firewalld counts ${device} to its zone ${zone}: put it into one that lets containers pass: ${
    shellText(command)
  } && ${shellText(lasting)}`;
}

/** Built-in chains that see one link only. */
const HOOKS: Readonly<Record<string, "input" | "output">> = { INPUT: "input", OUTPUT: "output" };

/** Rules of iptables-legacy are not traced, but they count: what counted while the probe was lost did it. */
export const countingRule: Reader = (e) =>
  e.drops.length === 0 || e.drops.some(({ reason }) => reason === "NETFILTER_DROP")
    ? legacyCauses(e)
    : [];

/** The rules of iptables-legacy that counted, of the question's family. */
export function grownLegacy({ grown, question }: Evidence): LegacyCounter[] {
  return grown.filter((one) => one.kind === "legacy").filter(({ family }) =>
    family === question.family
  );
}

export function legacyCauses(e: Evidence): Cause[] {
  const dropping = grownLegacy(e).find(({ drops }) => drops);
  if (!dropping) return [];
  const { netns, rule } = dropping;
  const { place, ...about } = sideOf(e.scene, netns);
  const seen = ["its counter grew while the packet was lost"];
  if (rule.remove) return [ruleCause("rule_drop", rule, seen, about, { place })];
  const { ref, mechanism } = rule;
  const fix = acceptance(e, ref, HOOKS[ref.chain] ?? "forward");
  return [cause("policy_drop", [mechanism, place], { ...about, rule: ref }, seen, fix)];
}
