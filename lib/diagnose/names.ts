/** A name as programs of the container resolve it: /etc/hosts, then DNS, and in which order they try its addresses. */
import { isAddress } from "../base/ip.ts";
import { type Cause, cause } from "../facts/cause.ts";
import type { Scene } from "../facts/scene.ts";
import type { Hop } from "./follow.ts";
import { type DnsAnswer, resolveByTcp, resolveName, TYPE_A, TYPE_AAAA } from "./packets/dns.ts";
import { explained } from "./render/failure.ts";
import { type Resolver, resolverOf } from "../facts/readers/resolver.ts";

export interface Resolved {
  /** In the order in which programs try them. */
  addresses: string[];
  /** What DNS says, where /etc/hosts says something else. */
  instead?: string[];
  /** How it was resolved, in the form of a hop. */
  hop: Hop;
  causes: Cause[];
}

/** Names that are asked for, of one that is completed by `search`. */
const MOST_NAMES = 7;

export async function resolveAsPrograms(scene: Scene, name: string): Promise<Resolved> {
  const resolver = resolverOf(scene);
  const entry = resolver.hosts.find(({ names }) => names.includes(name));
  const asked = await askServers(scene, resolver, name);
  const hop = (outcome: Hop["outcome"], evidence: string[]): Hop => ({
    ...{ name: `the name ${name}`, outcome, evidence },
  });
  if (entry && isAddress(entry.address)) {
    const { address } = entry;
    const differs = asked.addresses.length > 0 && !asked.addresses.includes(address);
    return {
      addresses: [address],
      instead: differs ? asked.addresses : undefined,
      hop: hop("passed", [`/etc/hosts: ${address}`, ...differs ? asked.evidence : []]),
      causes: [],
    };
  }
  const { addresses, evidence, causes } = asked;
  return { addresses, hop: hop(addresses.length > 0 ? "passed" : "stopped", evidence), causes };
}

/** One server after the other, for one completed name after the other (resolv.conf(5)). */
async function askServers(scene: Scene, resolver: Resolver, name: string) {
  const servers = resolver.servers.filter(isAddress);
  const evidence = servers.length === 0 ? ["the container has no DNS server"] : [];
  for (const full of namesFor(resolver, name).slice(0, MOST_NAMES)) {
    for (const server of servers) {
      const [v4, v6] = await Promise.all(
        [TYPE_A, TYPE_AAAA].map((type) => resolveName(scene.task, server, full, { type })),
      ) as [DnsAnswer, DnsAnswer];
      const addresses = inTheirOrder(scene, v4.addresses, v6.addresses);
      const said = addresses.join(", ") || explained(v4.outcome);
      evidence.push(`${server} says of ${full}: ${said}`);
      const causes = v4.truncated ? await askByTcp(scene, resolver, server, full) : [];
      if (causes.length > 0) return { addresses: [], evidence, causes };
      if (addresses.length > 0) return { addresses, evidence, causes };
      // The next server is asked only when this one could not say.
      if (v4.outcome === "NOERROR" || v4.outcome === "NXDOMAIN") break;
    }
  }
  return { addresses: [], evidence, causes: [] };
}

function namesFor({ ndots, search }: Resolver, name: string): string[] {
  if (name.endsWith(".")) return [name];
  const completed = search.map((domain) => `${name}.${domain}`);
  return name.split(".").length - 1 >= ndots ? [name, ...completed] : [...completed, name];
}

/** An answer that UDP has no room for is asked for again (RFC 7766), and without it there is none. */
async function askByTcp(
  scene: Scene,
  { file }: Resolver,
  server: string,
  name: string,
): Promise<Cause[]> {
  const outcome = await resolveByTcp(scene.task, server, name);
  if (outcome === "NOERROR") return [];
  const isOwn = scene.host.ownerOf(server) !== undefined;
  return [cause(
    "dns_truncated",
    ["dns", isOwn ? "agent" : "outside"],
    {
      container: scene.name,
      address: server,
      file,
      value: name,
      other: explained(outcome),
      why: "lost",
    },
    [
      `the answer of ${server} for ${name} over UDP is truncated`,
      `asked for ${name} over TCP: ${explained(outcome)}`,
    ],
  )];
}

/**
 * IPv6 before IPv4 where the container has a way there and an address of its own of the same kind:
 * rules 1, 5 and 6 of RFC 6724, section 6, as far as they tell the two families apart. What it has
 * no way to is tried last, and fails at once.
 */
function inTheirOrder({ inside }: Scene, v4: readonly string[], v6: readonly string[]): string[] {
  const isLocal = (address: string) => /^f[cd]/i.test(address);
  const sourceOf = (address: string) => {
    const route = inside.routeTo(address);
    return typeof route === "string" ? undefined : route.source;
  };
  const isFirst = (address: string) => {
    const source = sourceOf(address);
    return source !== undefined && !/^fe[89ab]/i.test(source) &&
      isLocal(source) === isLocal(address);
  };
  return [
    ...v6.filter(isFirst),
    ...v4,
    ...v6.filter((one) => !isFirst(one) && sourceOf(one) !== undefined),
  ];
}
