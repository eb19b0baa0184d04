/**
 * Rules of the agent that take some packets and let a probe's pass: by content, size, number, user, or
 * who stands in a list. No packet of ours tells of them, and what they have dropped does.
 */
import { type Cause, hint } from "../../facts/cause.ts";
import { countedRules } from "../../firewall/saved.ts";
import { programOutput } from "../observe/programs.ts";

/** Matches of iptables (iptables-extensions(8)) that all packets of a connection meet, or none does that counts. */
const WHOLE = new Set([
  ...["tcp", "udp", "sctp", "icmp", "icmp6", "multiport", "comment", "conntrack", "state"],
  ...["addrtype", "pkttype", "physdev", "mark", "connmark", "udplite", "dccp", "esp", "ah"],
  ...["nfacct", "policy", "devgroup", "realm", "helper"],
]);
/** The same of nft, as it prints them. */
const PARTIAL_NFT =
  / @\S| numgen | limit rate | ct (?:count|bytes|packets) | quota | frag-off | fib saddr | meta (?:length|skuid|skgid|hour|day|cgroup) | length | ip6? (?:ttl|hoplimit|dscp) | ether saddr /;
const PROGRAMS = ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"];
const MOST = 3;

export async function partialRules(): Promise<Cause[]> {
  const [nft, ...saved] = await Promise.all([
    programOutput(undefined, "nft", ["-n", "-t", "list", "ruleset"]),
    ...PROGRAMS.map((one) => programOutput(undefined, `${one}-save`, ["-c"])),
  ]);
  const found = [
    ...PROGRAMS.flatMap((program, i) => {
      const family = program.startsWith("ip6") ? "ip6" : "ip";
      return droppingSome(saved[i] ?? "").map((one) => ({ program, family, ...one }));
    }),
    ...droppingSomeNft(nft ?? ""),
  ];
  const others = [...new Map(found.map((one) => [`${one.family} ${one.text}`, one])).values()];
  return others.sort((a, b) => b.count - a.count).slice(0, MOST).map(({ count, why, ...rule }) =>
    hint("rule_takes_some", ["rule", "agent"], { rule, value: String(count), why }, [
      `its counter says ${count} packets`,
    ])
  );
}

/** Of `iptables-save -c`. */
export function droppingSome(text: string) {
  const all = countedRules(text);
  const takesErrors = errorTaking(all);
  return all.flatMap((one) => {
    const { table, chain, count, text, words } = one;
    const drops = words.some((word, i) =>
      words[i - 1] === "-j" && (word === "DROP" || word === "REJECT")
    );
    if (!drops || count === 0) return [];
    const why = takesErrors(one) ? "ICMP" : undefined;
    const isPartial = words.includes("-f") ||
      words.some((word, i) => words[i - 1] === "-m" && !WHOLE.has(word));
    return isPartial || why ? [{ table, chain, count, text, why }] : [];
  });
}

type Counted = ReturnType<typeof countedRules>[number];

/** What containers send and get passes these, and no chain of the agent's own packets. */
const ON_THE_WAY = ["PREROUTING", "FORWARD", "POSTROUTING"];
/** Types of ICMP that tell a sender that a hop takes smaller packets, where a rule says one: of IPv4, of IPv6. */
const TOO_BIG = /^(3|3\/4|2|any)$/;

/**
 * Tells of a rule whether "fragmentation needed" and its like end in it: one of ICMP alone, before which nothing
 * accepts answers. Each chain is looked at once: a host may have tens of thousands of rules.
 */
function errorTaking(all: readonly Counted[]): (rule: Counted) => boolean {
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
  return (rule) =>
    TOO_BIG.test(after(rule, "--icmp-type", "--icmpv6-type") ?? "any") && isIcmp(rule) &&
    isOnTheWay(rule) && !accepting.has(rule.table);
}

/** Of `nft list ruleset`, without what iptables keeps there. */
export function droppingSomeNft(text: string) {
  let [family, table, chain] = ["", "", ""];
  return text.split("\n").flatMap((line) => {
    [, family = family, table = table] = /^table (\S+) (\S+) \{$/.exec(line) ?? [];
    [, chain = chain] = /^\tchain (\S+) \{$/.exec(line) ?? [];
    const count = Number(/ counter packets (\d+) /.exec(line)?.[1] ?? 0);
    const rule = line.trim();
    return count > 0 && / (?:drop|reject)\b/.test(line) && PARTIAL_NFT.test(` ${rule} `) &&
        !/ xt (?:match|target) /.test(line)
      ? [{ program: "nft", family, table, chain, text: rule, count, why: undefined }]
      : [];
  });
}
