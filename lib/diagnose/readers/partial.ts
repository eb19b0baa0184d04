/**
 * Rules of the agent that take some packets and let a probe's pass: by content, size, number, user, or
 * who stands in a list. No packet of ours tells of them, and what they have dropped does.
 */
import { type Cause, cause, removing } from "../../facts/cause.ts";
import type { Scene } from "../../facts/scene.ts";
import { countedRules } from "../../firewall/saved.ts";
import { programOutput } from "../observe/programs.ts";
import { STATEFUL } from "../observe/rules.ts";

/** Matches of iptables (iptables-extensions(8)) that all packets of a connection meet, or none does that counts. */
const WHOLE = new Set([
  ...["tcp", "udp", "sctp", "icmp", "icmp6", "multiport", "comment", "conntrack", "state"],
  ...["addrtype", "pkttype", "physdev", "mark", "connmark", "udplite", "dccp", "esp", "ah"],
  ...["nfacct", "policy", "devgroup", "realm", "helper"],
]);
/** Of the others those by which a connection may begin and is cut off then. What goes by who sends, or how often, may be meant so. */
const WITHIN = new Set(["string", "length", "connbytes", "u32", "bpf", "quota", "statistic"]);
/** The same of nft, as it prints them. */
const WITHIN_NFT = / @[nti]h,| numgen | ct (?:bytes|packets) | quota | meta length | length /;
const PARTIAL_NFT =
  / @\S| numgen | limit rate | ct (?:count|bytes|packets) | quota | frag-off | fib saddr | meta (?:length|skuid|skgid|hour|day|cgroup) | length | ip6? (?:ttl|hoplimit|dscp) | ether saddr /;
const PROGRAMS = ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"];
const MOST = 3;

export async function partialRules(scene: Scene): Promise<Cause[]> {
  const [nft, ...saved] = await Promise.all([
    programOutput(undefined, "nft", ["-n", "-a", "-t", "list", "ruleset"]),
    ...PROGRAMS.map((one) => programOutput(undefined, `${one}-save`, ["-c"])),
  ]);
  const found = [
    ...PROGRAMS.flatMap((program, i) => {
      const family = program.startsWith("ip6") ? "ip6" : "ip";
      return droppingSome(saved[i] ?? "").map((one) => ({
        ...{ program, family, ...one },
        remove: [program, "-w", "-t", one.table, "-D", ...one.words.slice(1)],
      }));
    }),
    ...droppingSomeNft(nft ?? ""),
  ];
  // One that names another container takes nothing from this one.
  const cuts = (one: typeof found[number]) =>
    one.isWithin && !one.words.some((word) => scene.ownerOf(word.replace(/\/(?:32|128)$/, "")));
  const others = [...new Map(found.map((one) => [`${one.family} ${one.text}`, one])).values()];
  return others.sort((a, b) => Number(cuts(b)) - Number(cuts(a)) || b.count - a.count)
    .slice(0, MOST).map((one) => {
      const { program, family, table, chain, text, count } = one;
      const rule = { program, family, table, chain, text };
      const why = cuts(one) ? "within" : one.why;
      const seen = [`its counter says ${count} packets`];
      const isFound = !one.words.some((word) => STATEFUL.includes(word)) || program === "nft";
      const fix = isFound ? removing(text, one.remove) : undefined;
      const told = cause(
        "rule_takes_some",
        ["rule", "agent"],
        { rule, value: String(count), why },
        seen,
        fix,
      );
      return cuts(one) ? told : { ...told, level: "hint", fix: undefined };
    });
}

/** Of `iptables-save -c`. */
export function droppingSome(text: string) {
  const all = countedRules(text);
  const { isOnTheWay, takesErrors } = waysOf(all);
  return all.flatMap((one) => {
    const { table, chain, count, text, words } = one;
    const drops = words.some((word, i) =>
      words[i - 1] === "-j" && (word === "DROP" || word === "REJECT")
    );
    if (!drops || count === 0) return [];
    const why = takesErrors(one) ? "ICMP" : undefined;
    const matches = words.filter((_, i) => words[i - 1] === "-m");
    const isPartial = words.includes("-f") || matches.some((one) => !WHOLE.has(one));
    const isTcp = !words.includes("-p") || words[words.indexOf("-p") + 1] === "tcp";
    const isWithin = isTcp && isOnTheWay(one) && matches.some((one) => WITHIN.has(one));
    return isPartial || why ? [{ table, chain, count, text, words, why, isWithin }] : [];
  });
}

type Counted = ReturnType<typeof countedRules>[number];

/** What containers send and get passes these, and no chain of the agent's own packets. */
const ON_THE_WAY = ["PREROUTING", "FORWARD", "POSTROUTING"];
/** Types of ICMP that tell a sender that a hop takes smaller packets, where a rule says one: of IPv4, of IPv6. */
const TOO_BIG = /^(3|3\/4|2|any)$/;

/**
 * Tells of a rule whether what containers send and get comes to it, and whether "fragmentation needed" and its like
 * end in it: one of ICMP alone, before which nothing accepts answers. Each chain is looked at once: a host may have
 * tens of thousands of rules.
 */
function waysOf(all: readonly Counted[]) {
  const after = ({ words }: Counted, ...options: string[]) =>
    words.find((_, i) => options.includes(words[i - 1]!));
  const chainOf = ({ table, chain }: Counted) => `${table} ${chain}`;
  const callers = Map.groupBy(all, (one) => `${one.table} ${after(one, "-j", "-g")}`);
  /** By chain; what is asked while it is being worked out is a circle, which no packet enters. */
  const known = (look: (led: readonly Counted[], chain: string) => boolean) => {
    const answers = new Map<string, boolean>();
    return (one: Counted): boolean => {
      const chain = chainOf(one);
      if (!answers.has(chain)) {
        answers.set(chain, false);
        answers.set(chain, look(callers.get(chain) ?? [], one.chain));
      }
      return answers.get(chain)!;
    };
  };
  const isOnTheWay = known((led, chain) => ON_THE_WAY.includes(chain) || led.some(isOnTheWay));
  const isIcmp = (one: Counted): boolean =>
    /^(ipv6-)?icmp(v6)?$/.test(after(one, "-p") ?? "") || isLedByIcmp(one);
  const isLedByIcmp = known((led) => led.length > 0 && led.every(isIcmp));
  const accepting = new Set(
    all.filter((one) =>
      after(one, "-j") === "ACCEPT" && after(one, "--ctstate", "--state")?.includes("RELATED") &&
      isOnTheWay(one)
    ).map(({ table }) => table),
  );
  const takesErrors = (rule: Counted) =>
    TOO_BIG.test(after(rule, "--icmp-type", "--icmpv6-type") ?? "any") && isIcmp(rule) &&
    isOnTheWay(rule) && !accepting.has(rule.table);
  return { isOnTheWay, takesErrors };
}

/** Of `nft list ruleset`, without what iptables keeps there. */
export function droppingSomeNft(text: string) {
  let [family, table, chain] = ["", "", ""];
  return text.split("\n").flatMap((line) => {
    [, family = family, table = table] = /^table (\S+) (\S+) \{/.exec(line) ?? [];
    [, chain = chain] = /^\tchain (\S+) \{/.exec(line) ?? [];
    const count = Number(/ counter packets (\d+) /.exec(line)?.[1] ?? 0);
    const [, rule = line.trim(), handle] = /^\s*(.*?)(?: # handle (\d+))?$/.exec(line) ?? [];
    const said = ` ${rule} `;
    if (count === 0 || !/ (?:drop|reject)\b/.test(said) || !PARTIAL_NFT.test(said)) return [];
    if (/ xt (?:match|target) /.test(line)) return [];
    const isOfOthers = / (?:udp|icmp|icmpv6|arp) /.test(said) || ["arp", "netdev"].includes(family);
    return [{
      ...{ program: "nft", family, table, chain, text: rule, count, why: undefined },
      words: rule.split(" "),
      isWithin: WITHIN_NFT.test(said) && !isOfOthers,
      remove: ["nft", "delete", "rule", family, table, chain, "handle", handle ?? ""],
    }];
  });
}
