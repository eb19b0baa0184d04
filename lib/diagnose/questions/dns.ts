/** Does its DNS work the way the container resolves? */
import { isAddress } from "../../base/ip.ts";
import { type Finding, problem } from "../finding.ts";
import { endsOf, type Journey, through, toAgent, toWire } from "../journey.ts";
import { type DnsAnswer, resolveByTcp, resolveName, TYPE_NS } from "../packets/dns.ts";
import { explained } from "../packets/outcome.ts";
import type { Resolver } from "../resolver.ts";
import type { Scene } from "../scene.ts";
import { SystemError } from "../../kernel/libc.ts";
import { answered, failed, type Question } from "./question.ts";

/** A server may be slow; a resolver waits five seconds for it. */
const PATIENCE_MS = 2800;
/** When it is asked again, and watched. */
const AGAIN_MS = 1000;
const ANSWERS = ["NOERROR", "NXDOMAIN"];
/** The agent's search domains are what names are completed with, so a server must know of them. */
const MOST_NAMES = 2;

export function dnsQuestions(scene: Scene, resolver: Resolver): Question[] {
  const attached = scene.interfaces.find(({ link }) => link !== undefined);
  const ends = attached && endsOf(scene, attached);
  if (!attached || !ends) return [];
  return resolver.servers.filter(isAddress).flatMap((server): Question[] => {
    const family = server.includes(":") ? 6 : 4;
    const path = pathTo(scene, server);
    const common = {
      topic: "dns" as const,
      family: family as 4 | 6,
      journey: path,
      destination: server,
      port: 53,
      neighbours: [
        ...scene.inside.routes.flatMap(({ gateway }) => gateway ?? []),
        server,
        ...attached.expected.map((one) => one.address),
      ],
    };
    return [{
      ...common,
      text: `resolves names by ${server}`,
      protocol: "udp",
      async ask(token, session) {
        const answers = await asked(
          scene,
          server,
          resolver,
          token,
          session.deep ? AGAIN_MS : PATIENCE_MS,
        );
        const best = answers.find(({ outcome }) => ANSWERS.includes(outcome));
        if (best) {
          const wrong = disagreement(scene, answers);
          return wrong ? failed(wrong) : answered(`${best.outcome} in ${Math.round(best.ms)} ms`);
        }
        return failed(answers[0]!.outcome);
      },
      reasons: (_, { detail }) => reasons(scene, server, resolver, detail),
    }, {
      ...common,
      text: `resolves names by ${server} over TCP`,
      protocol: "tcp",
      async ask(token) {
        const outcome = await resolveByTcp(scene.inside.netns, server, ".", {
          type: TYPE_NS,
          ms: 1100,
          token,
        });
        if (outcome === "ECONNREFUSED") {
          return { outcome: "unasked", detail: "the server has no TCP" };
        }
        return outcome === "timed out" || outcome.startsWith("E")
          ? failed(outcome)
          : answered(outcome);
      },
    }];
  });
}

/** The way to a server: the agent's own, a container of it, or outside. */
function pathTo(scene: Scene, server: string): Journey {
  const attached = scene.interfaces.find(({ link }) => link !== undefined)!;
  const ends = endsOf(scene, attached)!;
  if (!attached.hostEnd) return toWire(ends);
  if (scene.host.ownerOf(server)) return toAgent(ends);
  try {
    const route = scene.host.netlink.routeTo(server);
    return through(ends, scene.host.linkAt(route.link));
  } catch (error) {
    if (error instanceof SystemError) return through(ends, undefined);
    throw error;
  }
}

/**
 * Asks for the root, which every recursive server knows, and for the domains that names are
 * completed with. A server may refuse the one or know nothing of the other.
 */
async function asked(
  scene: Scene,
  server: string,
  { search }: Resolver,
  token: number,
  ms: number,
): Promise<DnsAnswer[]> {
  const { netns } = scene.inside;
  const domains = search.filter((one) => one !== "." && one !== "").slice(0, MOST_NAMES);
  return await Promise.all([
    resolveName(netns, server, ".", { type: TYPE_NS, ms, token }),
    ...domains.map((name) => resolveName(netns, server, name, { ms })),
    ...domains.length > 0 ? [] : [resolveName(netns, server, "mesos-cni.test", { ms })],
  ]);
}

function disagreement(_scene: Scene, answers: readonly DnsAnswer[]): string | undefined {
  // One name that fails by SERVFAIL, beside others that are answered, is that name's own matter.
  return answers.every(({ outcome }) => outcome === "SERVFAIL") ? "SERVFAIL" : undefined;
}

function reasons(scene: Scene, server: string, { servers }: Resolver, outcome: string): Finding[] {
  const name = scene.name;
  const isLoopback = server.startsWith("127.") || server === "::1";
  const of = servers.length > 1
    ? [`it is one of ${servers.length} servers: ${servers.join(", ")}`]
    : [];
  const seen = [
    `asked for the root and for its domains, the outcome is: ${explained(outcome)}`,
    ...of,
  ];
  if (isLoopback && outcome !== "NOERROR") {
    return [problem(
      "dns_refused",
      ["dns", "container"],
      `${name} is told to ask ${server}, where nothing listens in its own network`,
      seen,
      `${server} is the agent's own resolver, which no other network namespace reaches: give ` +
        'the network a server by its "dns" or by --default_container_dns',
    )];
  }
  const place = scene.host.ownerOf(server) ? "agent" : "outside";
  if (outcome === "SERVFAIL") {
    return [problem(
      "dns_servfail",
      ["dns", place],
      `the DNS server ${server} answers SERVFAIL: it can't resolve by itself`,
      seen,
      `look at ${server}: its forwarders, or its way to the servers that know`,
    )];
  }
  if (outcome === "REFUSED" || outcome === "NOTIMP" || outcome === "FORMERR") {
    return [problem(
      "dns_refused",
      ["dns", place],
      `the DNS server ${server} refuses ${name} (${outcome})`,
      seen,
      "look at the server's access list: it must allow the container's or the agent's address",
    )];
  }
  return [];
}
