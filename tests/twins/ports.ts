/** What becomes of a packet by the rules of a port mapper: those that its hooks lead to, followed. */
import { contains, parseAddress, parsePrefix } from "../../lib/base/prefix.ts";
import type { Fact } from "./facts.ts";
import type { Chains } from "./rules.ts";

/** Which chains are at which hook. */
export interface Hooks {
  prerouting: string[];
  output: string[];
  postrouting: string[];
}

/** A rule that is reached, with the conditions of those that led to it before its own. */
interface Reached {
  chain: string;
  rule: string;
}

/** `ports tcp 0.0.0.0:8080 to 10.1.0.2:80 from outside`; `masqueraded to 10.1.0.2 from loopback`. */
export function portFacts(chains: Chains, hooks: Hooks): Fact[] {
  const inward = reached(chains, hooks.prerouting);
  const facts = [
    ...inward.flatMap((one) => mapped(chains, one)).map((text) => `${text} from outside`),
    ...reached(chains, hooks.output).flatMap((one) =>
      mapped(chains, one).flatMap((text) => fromHost(chains, one).map((from) => `${text} ${from}`))
    ),
    ...inward.filter(({ rule }) => /127\.0\.0\.0\/8 .*drop$/i.test(rule))
      .map(() => "closed: packets to loopback from outside"),
    ...masqueraded(chains, inward, reached(chains, hooks.postrouting)),
  ];
  // Of two rules that fit a packet, the first takes it.
  const takes = new Map(
    facts.toReversed().map((text) => [text.replace(/ to \S+( from .*)$/, "$1"), text]),
  );
  return facts.filter((text) => !text.startsWith("ports ") || [...takes.values()].includes(text))
    .filter((text, i, all) => all.indexOf(text) === i).map((text) => ({ owner: "", text }));
}

function reached({ rules }: Chains, starts: readonly string[], before = ""): Reached[] {
  return starts.flatMap((chain) => (rules.get(chain) ?? []).map((rule) => ({ chain, rule })))
    .flatMap(({ chain, rule }) => {
      const target = /(?:-[jg]|\bjump|\bgoto) (\S+)/.exec(rule)?.[1];
      const all = `${before}${rule}`;
      return target !== undefined && rules.has(target)
        ? [{ chain, rule: all }, ...reached({ rules } as Chains, [target], `${all} ; `)]
        : [{ chain, rule: all }];
    });
}

const PROTOCOLS: Readonly<Record<string, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };

/** The mappings that a rule makes. */
function mapped({ family, elements }: Chains, { rule }: Reached): string[] {
  const any = family === "ip" ? "0.0.0.0" : "[::]";
  const [, map] = new RegExp(`dnat ${family} to .* map @(\\S+)`).exec(rule) ?? [];
  if (map !== undefined) {
    return (elements.get(map) ?? []).map((element) => {
      const [from, to] = element.split(" : ").map((part) => part.split(" . "));
      const [port, protocol, at] = from!.toReversed();
      return `ports ${PROTOCOLS[protocol!]} ${at ?? any}:${port} to ${place(to!)}`;
    });
  }
  const [, target] = /(?:DNAT --to-destination|dnat to) (\S+)/.exec(rule) ?? [];
  if (target === undefined) return [];
  const [, protocol, port] =
    last(rule, /(?:-m |; )?(tcp|udp|sctp) (?:-m \w+ )?(?:--)?dport (\d+)/g) ?? [];
  const at = last(rule, /(?:(?<!! )-d|ip6? daddr) (?!127\.0\.0\.0\/8)(\S+)/g)?.[1]
    ?.replace(/\/(?:32|128)$/, "");
  const only = [...rule.matchAll(/(?:! )?(?:-s|-i|ip6? saddr) \S+/g)].map(([text]) =>
    ` if ${text}`
  );
  return [`ports ${protocol} ${at ?? any}:${port} to ${target}${only.join("")}`];
}

function last(text: string, pattern: RegExp): RegExpMatchArray | undefined {
  return [...text.matchAll(pattern)].at(-1);
}

function place([address, port]: string[]): string {
  return address!.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** From where on the host a rule takes packets: what goes to its loopback addresses, or to others. */
function fromHost({ family }: Chains, { rule }: Reached): string[] {
  const isOther = / ?! -d (?:127\.0\.0\.0\/8|::1)/.test(rule);
  const isLoopback = /(?<!! )(?:-d|daddr) 127\.0\.0\.\d/.test(rule) || family === "ip" && !isOther;
  return [
    ...isOther && isLoopback || /(?<!! )(?:-d|daddr) 127\./.test(rule) ? [] : ["from the host"],
    ...isLoopback && !isOther ? ["from loopback"] : [],
  ];
}

/** To which containers packets seem to come from the host: by a mark on their way in, or on their way out. */
function masqueraded(chains: Chains, inward: Reached[], outward: Reached[]): string[] {
  const isMarked = outward.some(({ rule }) => /--mark \S+ -j MASQUERADE$/.test(rule));
  const marked = inward.flatMap(({ chain, rule }): string[] => {
    const own = rule.split(" ; ").at(-1)!;
    const target = inward.find((one) => one.chain === chain && / -j DNAT /.test(one.rule))?.rule
      .match(/--to-destination \[?(.*?)\]?:\d+$/)?.[1];
    const [, mark] = /-j (?!DNAT)(\S+)$/.exec(own) ?? [];
    if (target === undefined || mark === undefined) return [];
    const by = mark === "CNI-HOSTPORT-SETMARK" ? "" : ` by ${mark}`;
    return isMarked || by !== "" ? [`masqueraded to ${target} ${source(own)}${by}`] : [];
  });
  const direct = outward.flatMap(({ rule }): string[] => {
    const [, pairs, set] = /@(\w+) .*@(\w+) masquerade$/.exec(rule) ?? [];
    if (pairs !== undefined) return bySets(chains, pairs, set!);
    const [, to] = /(?:(?<!! )-d|daddr) (\S+?)(?:\/32|\/128)? .*masquerade/i.exec(rule) ?? [];
    return to === undefined ? [] : [`masqueraded to ${to} ${source(rule)}`];
  });
  const all = [...marked, ...direct];
  // From anywhere is from each of the others too.
  return all.filter((text) =>
    text.endsWith(" from anywhere") || !all.includes(text.replace(/ from .*$/, " from anywhere"))
  );
}

function bySets({ elements }: Chains, pairs: string, set: string): string[] {
  const containers = (elements.get(set) ?? []).map((element) => element.split(" . ")[0]!);
  return (elements.get(pairs) ?? []).flatMap((pair) => {
    const [from, to] = pair.split(" . ");
    const network = parsePrefix(to!) ?? parsePrefix(`${to}/${to!.includes(":") ? 128 : 32}`);
    return containers.filter((one) => network && contains(network, parseAddress(one)!))
      .map((one) => `masqueraded to ${one} ${source(`saddr ${from}`)}`);
  });
}

/** Where a rule takes packets from. A container may be told by its own address or by its network's. */
function source(rule: string): string {
  const [, from] = /(?:-s|saddr) (\S+)/.exec(rule) ?? [];
  if (from === undefined || from.endsWith("/0")) return "from anywhere";
  return from.startsWith("127.") ? "from loopback" : "from its network";
}
