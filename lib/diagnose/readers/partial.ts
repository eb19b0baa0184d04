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
  return others.sort((a, b) => b.count - a.count).slice(0, MOST).map(({ count, ...rule }) =>
    hint("rule_takes_some", ["rule", "agent"], { rule, value: String(count) }, [
      `its counter says ${count} packets`,
    ])
  );
}

/** Of `iptables-save -c`. */
export function droppingSome(text: string) {
  return countedRules(text).flatMap(({ table, chain, count, text, words }) => {
    const isPartial = words.includes("-f") ||
      words.some((word, i) => words[i - 1] === "-m" && !WHOLE.has(word));
    const drops = words.some((word, i) =>
      words[i - 1] === "-j" && (word === "DROP" || word === "REJECT")
    );
    return isPartial && drops && count > 0 ? [{ table, chain, count, text }] : [];
  });
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
      ? [{ program: "nft", family, table, chain, text: rule, count }]
      : [];
  });
}
