/**
 * Rules of iptables and nf_tables, as facts. Those of a port mapper, the reference's or ours, count
 * by what becomes of a packet: the chains are each one's own.
 */
import type { Fact } from "./facts.ts";
import { type Hooks, portFacts } from "./ports.ts";

/** Chains of a table, by name, and the sets and maps that its rules name. */
export interface Chains {
  family: "ip" | "ip6";
  rules: Map<string, string[]>;
  elements: Map<string, string[]>;
}

/** Chains of iptables, and tables of nf_tables, that map host ports. */
const MAPPERS_CHAIN = /^(?:CNI-DN-|CNI-HOSTPORT-|MESOS-CNI-)/;
const MAPPERS_TABLE = /^table (?:ip6? cni_hostport|inet mesos-cni) \{$/;

/** What `iptables-save` prints. */
export function readIptables(family: "ip" | "ip6", lines: readonly string[]): Fact[] {
  const facts: Fact[] = [];
  const chains: Chains = { family, rules: new Map(), elements: new Map() };
  let owner = "";
  for (const line of lines) {
    if (line.startsWith("*")) {
      owner = `${family}tables ${line.slice(1)}`;
      facts.push({ owner, text: owner });
    } else if (line.startsWith(":") || line.startsWith("-A ")) {
      const [, name] = /^(?::|-A )(\S+)/.exec(line)!;
      const target = /-[jg] (\S+)/.exec(line)?.[1] ?? "";
      if (line.startsWith("-A ")) {
        chains.rules.set(name!, [...chains.rules.get(name!) ?? [], line.replace(/^-A \S+ /, "")]);
      }
      if (MAPPERS_CHAIN.test(name!) || MAPPERS_CHAIN.test(target)) continue;
      facts.push({ owner, text: `${owner} ${line.replace(/ ?\[\d+:\d+\]/, "")}` });
    }
  }
  return [...facts, ...portFacts(chains, HOOKS_OF_IPTABLES)];
}

const HOOKS_OF_IPTABLES: Hooks = {
  prerouting: ["PREROUTING"],
  output: ["OUTPUT"],
  postrouting: ["POSTROUTING"],
};

/** What `nft list ruleset` prints, but for the tables that iptables has printed. */
export function readNft(lines: readonly string[], iptables: readonly Fact[]): Fact[] {
  const tables: string[][] = [];
  for (const line of joined(lines)) {
    if (line.startsWith("table ")) tables.push([line]);
    else tables.at(-1)?.push(line.trim().replace(/counter packets \d+ bytes \d+/, "counter"));
  }
  return tables.flatMap(([head, ...body]): Fact[] => {
    const owner = `nft ${head!.slice("table ".length, -" {".length)}`;
    const [, family, name] = owner.split(" ");
    if (iptables.some((one) => one.text === `${family}tables ${name}`)) return [];
    return MAPPERS_TABLE.test(head!) ? mappersFacts(family!, body) : tableFacts(owner, body);
  });
}

/** A line for each rule and each list of elements, however many lines it has. */
function joined(lines: readonly string[]): string[] {
  const text = lines.join("\n").replaceAll(
    /elements = \{[^}]*\}/g,
    (all) => all.replaceAll(/\s+/g, " "),
  );
  return text.split("\n");
}

function tableFacts(owner: string, body: readonly string[]): Fact[] {
  let chain = "";
  return [
    { owner, text: owner },
    ...body.flatMap((line): Fact[] => {
      if (line === "}" || line === "") return [];
      if (line.endsWith("{")) chain = line.slice(0, -2);
      return [{
        owner,
        text: line.endsWith("{") ? `${owner} ${chain}` : `${owner} ${chain}: ${line}`,
      }];
    }),
  ];
}

function mappersFacts(family: string, body: readonly string[]): Fact[] {
  const families = family === "inet" ? ["ip", "ip6"] as const : [family as "ip" | "ip6"];
  const facts = families.flatMap((one) => {
    const chains: Chains = { family: one, rules: new Map(), elements: new Map() };
    const hooks: Hooks = { prerouting: [], output: [], postrouting: [] };
    let name = "";
    for (const line of body) {
      if (line.endsWith("{")) name = line.split(" ")[1]!;
      const [, hook] = /^type \w+ hook (\w+)/.exec(line) ?? [];
      if (hook) hooks[hook as keyof Hooks].push(name);
      const [, elements] = /^elements = \{ (.*) \}$/.exec(line) ?? [];
      if (elements) {
        chains.elements.set(name, elements.replaceAll(/ comment "[^"]*"/g, "").split(", "));
      } else if (!/^(?:\}|type |)$/.test(line)) {
        chains.rules.set(name, [...chains.rules.get(name) ?? [], line]);
      }
    }
    return portFacts(chains, hooks);
  });
  // A rule of both families is read twice.
  return [...new Map(facts.map((fact) => [fact.text, fact])).values()];
}
