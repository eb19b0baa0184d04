/** Does its DNS work the way the container resolves? */
import type { Failure } from "../failure.ts";
import { getHostname } from "../../kernel/uts.ts";
import { isAddress } from "../../base/ip.ts";
import { AGENT_PORT } from "../../facts/readers/agent.ts";
import { listeners } from "../../netlink/sock_diag.ts";
import { endsOf, wayTo } from "../journey.ts";
import { EPHEMERAL } from "./listener.ts";
import { tryConnect } from "../packets/connect.ts";
import {
  type DnsAnswer,
  type DnsOutcome,
  isUnsaid,
  resolveByTcp,
  resolveName,
  TYPE_AAAA,
  TYPE_NS,
} from "../packets/dns.ts";
import type { Resolver } from "../../facts/readers/resolver.ts";
import type { Scene } from "../../facts/scene.ts";
import {
  type Answer,
  answered,
  askedForBy,
  attachedTo,
  failed,
  failedBy,
  type Question,
  unasked,
} from "./question.ts";

/** A server may be slow; a resolver waits five seconds for it. */
const PATIENCE_MS = 2800;
/** When it is asked again, and watched. */
const AGAIN_MS = 2000;
/** Reserved for documentation, and known to every server that knows the Internet (RFC 2606). */
const KNOWN_NAME = "example.com";
/** Domains that names are completed with, of which each is asked. */
const MOST_DOMAINS = 2;
/** Of its hosts file, that are asked for. */
const MOST_NAMES = 3;
/** A name that nobody has. */
export const SEARCHED = "mesos-cni-asks";

export function dnsQuestions(scene: Scene, resolver: Resolver): Question[] {
  if (scene.interfaces.every(({ link }) => link === undefined)) return [];
  return resolver.servers.filter(isAddress).flatMap((server) =>
    serverQuestions(scene, resolver, server)
  );
}

function serverQuestions(scene: Scene, resolver: Resolver, server: string): Question[] {
  const attached = attachedTo(scene, server)!;
  const common = {
    topic: "dns" as const,
    family: (server.includes(":") ? 6 : 4) as 4 | 6,
    journey: wayTo(scene, endsOf(scene, attached)!, server),
    destination: server,
    port: 53,
    resolver,
    neighbours: askedForBy(scene, attached, server),
  };
  const overTcp = (token?: number) =>
    resolveByTcp(scene.task, server, ".", { type: TYPE_NS, ms: 1100, token });
  const byUdp: Question = {
    ...common,
    text: `resolves names by ${server}`,
    protocol: "udp",
    async ask(token, session, nth) {
      const ms = session.deep ? AGAIN_MS : PATIENCE_MS;
      if (nth > 0) {
        return told((await askRoot(scene, server, token, ms)).outcome);
      }
      const answers = await asked(scene, server, resolver, token, ms);
      const wrong = wrongIn(answers, resolver);
      if (wrong !== undefined) return failed(wrong);
      if (answers.known.truncated && await overTcp() === "ECONNREFUSED") {
        return failed({ kind: "dns", code: "truncated" });
      }
      const domain = getHostname();
      // Where no agent listens, and where its hosts file has the name, nobody goes by that answer.
      const isAsked = listeners("tcp", AGENT_PORT).length > 0 &&
        !resolver.hosts.some(({ names }) => names.includes(domain));
      const takes = async (address: string) =>
        await tryConnect({ ...scene.task, address, port: AGENT_PORT }) === "connected";
      const address = isAsked ? await oldAddress(scene, answers, takes) : undefined;
      if (address !== undefined) return failed({ kind: "dns", code: "agent", domain, address });
      return answered(`${answers.root.outcome} in ${Math.round(answers.root.ms)} ms`);
    },
  };
  return [...resolver.useTcp ? [] : [byUdp], {
    ...common,
    text: `resolves names by ${server} over TCP`,
    protocol: "tcp",
    async ask(token, session, nth) {
      const outcome = await overTcp(nth === EPHEMERAL ? undefined : token);
      if (nth === EPHEMERAL) {
        return outcome === "EADDRNOTAVAIL"
          ? failed({ kind: "ephemeral", outcome })
          : unasked(outcome);
      }
      // Nothing but the server's own word tells that it has none.
      const isItsOwn = common.journey.legs.length === 0 ||
        session.at(common.journey, token, "back", 0).length > 0;
      if (outcome === "ECONNREFUSED" && isItsOwn && !resolver.useTcp) {
        return { outcome: "unasked", detail: "the server has no TCP" };
      }
      return told(outcome);
    },
  }];
}

/** Whatever a server says is an answer. */
function told(outcome: DnsOutcome): Answer {
  return isUnsaid(outcome) ? failedBy(outcome) : answered(outcome);
}

export interface Answers {
  /** What is asked beside for addresses of IPv6. */
  aaaa: DnsAnswer;
  root: DnsAnswer;
  known: DnsAnswer;
  /** A name that nobody has, in each domain that names are completed with. */
  searched: [domain: string, answer: DnsAnswer][];
  /** The agent's own name, and those of the hosts file, which the server of a closed site knows. */
  own: DnsAnswer[];
}

/**
 * Asks for the root, which every recursive server knows, for a name that the Internet has, and in
 * the domains that names are completed with. A server may refuse one of them or not know it.
 */
async function asked(
  scene: Scene,
  server: string,
  { search, hosts }: Resolver,
  token: number,
  ms: number,
): Promise<Answers> {
  const domains = search.filter((one) => one !== "." && one !== "").slice(0, MOST_DOMAINS);
  const named = hosts.flatMap(({ names }) => names).filter((one) => !/^(localhost|ip6-)/.test(one));
  const names = [getHostname(), ...new Set(named)].slice(0, 1 + MOST_NAMES);
  const [root, known, aaaa, ...others] = await Promise.all([
    askRoot(scene, server, token, ms),
    resolveName(scene.task, server, KNOWN_NAME, { ms }),
    resolveName(scene.task, server, KNOWN_NAME, { type: TYPE_AAAA, ms }),
    ...[...names, ...domains.map((domain) => `${SEARCHED}.${domain}`)].map((name) =>
      resolveName(scene.task, server, name, { ms })
    ),
  ]);
  const own = others.splice(0, names.length);
  return { root, known, aaaa, own, searched: domains.map((domain, i) => [domain, others[i]!]) };
}

function askRoot({ task }: Scene, server: string, token: number, ms: number) {
  return resolveName(task, server, ".", { type: TYPE_NS, ms, token });
}

/**
 * An address that a server has for this agent's name, which is none of its and where nobody takes a connection for
 * it. That of a router, which leads to it, is none of its own either. A
 * server that has one address for all names tells nothing of one.
 */
export async function oldAddress(
  { host }: Pick<Scene, "host">,
  { own: [of], known }: Pick<Answers, "own" | "known">,
  takes: (address: string) => Promise<boolean>,
): Promise<string | undefined> {
  const [address] = of?.addresses ?? [];
  if (address === undefined || of!.addresses.some((one) => host.ownerOf(one))) return undefined;
  if (known.addresses.includes(address)) return undefined;
  return await takes(address) ? undefined : address;
}

/** What is wrong with the answers; undefined if a name can be resolved by them. */
export function wrongIn(
  { root, known, aaaa, own, searched }: Answers,
  { ndots, timeout, attempts }: Resolver,
): Failure | undefined {
  const dns = (code: string, more: { domain?: string; ms?: number } = {}): Failure => ({
    kind: "dns",
    code,
    ...more,
  });
  const both = [root, known];
  if (both.every(({ outcome }) => outcome === "timed out")) {
    return both.some(({ strange }) => strange > 0) ? dns("strange") : { kind: "silence" };
  }
  for (const code of ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"]) {
    if (!both.every(({ outcome }) => outcome === code)) continue;
    // A closed site's server knows its own names alone, and refuses all others.
    const isClosed = code === "REFUSED" &&
      [...own, ...searched.map(([, answer]) => answer)].some(({ outcome }) =>
        outcome === "NOERROR" || outcome === "NXDOMAIN"
      );
    return isClosed ? undefined : dns(code);
  }
  // A refusal by a hop is told to one question, and of the next there may be no word.
  if (both.every(({ outcome }) => outcome !== "NOERROR" && outcome !== "NXDOMAIN")) {
    const told = both.find(({ outcome }) => outcome.startsWith("E")) ??
      both.find(({ outcome }) => outcome !== "timed out")!;
    return told.outcome.startsWith("E")
      ? { kind: "errno", errno: told.outcome }
      : dns(told.outcome);
  }
  if (root.outcome === "NXDOMAIN") return dns("NXDOMAIN");
  if (known.outcome === "NOERROR" && known.addresses.length === 0 && !known.truncated) {
    return dns("NODATA");
  }
  const first = both.find(({ outcome }) => outcome === "NOERROR" || outcome === "NXDOMAIN");
  if (first && first.ms > timeout * 1000 && attempts * timeout < 5) {
    return dns("slow", { ms: Math.round(first.ms) });
  }
  if (aaaa.outcome === "timed out" && known.outcome !== "timed out") return dns("no AAAA");
  for (const [domain, answer] of searched) {
    if (answer.addresses.length > 0 && ndots > 1) return dns("wildcard", { domain });
    if (answer.outcome === "timed out") return dns("deaf", { domain });
  }
  // Asked in each try: one that is lost is lost, also where others of the first came through.
  return root.outcome === "timed out" ? { kind: "silence" } : undefined;
}
