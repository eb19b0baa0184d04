/** A name as programs of the container resolve it: /etc/hosts, then DNS. */
import { familyOfKnown, isAddress } from "../base/ip.ts";
import { inTime } from "../base/pace.ts";
import { type Cause, cause } from "../facts/cause.ts";
import type { FactReader } from "../facts/facts.ts";
import { nothing, saw } from "../facts/look.ts";
import { madeFor } from "../facts/readers/files.ts";
import type { Scene } from "../facts/scene.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import { SEARCHED } from "./questions/dns.ts";
import { type DnsAnswer, resolveByTcp, resolveName, TYPE_A, TYPE_AAAA } from "./packets/dns.ts";
import { explained } from "./failure.ts";
import {
  MOST_BYTES,
  MOST_HOSTS,
  parseResolver,
  type Resolver,
  resolverOf,
} from "../facts/readers/resolver.ts";
import type { Hop } from "./place.ts";

export interface Resolved {
  addresses: string[];
  /** What DNS says, where /etc/hosts says something else. */
  instead?: string[];
  /** Whether a server was silent: another try may be answered. */
  isUnsure: boolean;
  /** How it was resolved, in the form of a hop. */
  hop: Hop;
  causes: Cause[];
}

/** How long DNS is asked for names that a hosts file lacks, in ms. */
const OWN_NAME_MS = 3000;

/** Many programs ask for these as they start, and the isolator wrote them into its hosts; elsewhere DNS may know them. */
export const OWN_NAME: FactReader<Scene> = {
  name: "its own name and localhost are known to it",
  async read(scene) {
    const made = (name: string) => readCheckpoint(madeFor(scene, name) ?? "") ?? "";
    const lineOf = (value: string, hosts: Resolver["hosts"]) =>
      hosts.find(({ names }) => names.some((one) => one.toLowerCase() === value.toLowerCase()));
    const written = parseResolver("", "", made("hosts")).hosts;
    // One without an address has no name.
    const given = [made("hostname").trim(), "localhost"].flatMap((value) => {
      const line = lineOf(value, written);
      return line ? [{ value, address: line.address }] : [];
    });
    const text = scene.etc("hosts");
    if (given.length === 0 || text === undefined) return nothing("it was given none");
    const { hosts, lookups = [] } = resolverOf(scene);
    const lacking = given.filter(({ value }) => !lineOf(value, hosts));
    if (lacking.length === 0) return saw(given.map(({ value }) => value).join(", "), []);
    // Modules of nsswitch.conf(5) know names of their own, as those of systemd do.
    const others = lookups.filter((one) => one !== "files" && one !== "dns");
    if (others.length > 0) return nothing(`${others.join(", ")} may know it`);
    if (hosts.length >= MOST_HOSTS || new TextEncoder().encode(text).length >= MOST_BYTES) {
      return nothing("its hosts file is too long to be read");
    }
    const asked = await inTime(
      OWN_NAME_MS,
      Promise.all(lacking.map(({ value }) => resolveAsPrograms(scene, value))),
    );
    if (!asked || asked.some(({ isUnsure }) => isUnsure)) return nothing("DNS did not say in time");
    const about = { container: scene.name, file: "/etc/hosts", why: "lacks" };
    const causes = lacking.flatMap((one, i) => {
      const { addresses, hop: { evidence } } = asked[i]!;
      const found = cause("hosts_differ", ["dns", "container"], { ...about, ...one }, evidence);
      return addresses.length > 0 ? [] : [found];
    });
    return saw(asked.flatMap(({ hop }) => hop.evidence).join("; "), causes);
  },
};

/** Names that are asked for, of one that is completed by `search`. */
const MOST_NAMES = 7;

export async function resolveAsPrograms(scene: Scene, name: string): Promise<Resolved> {
  const resolver = resolverOf(scene);
  const entries = resolver.hosts.filter((one) =>
    one.names.includes(name) && isAddress(one.address)
  );
  const asked = await askServers(scene, resolver, name);
  const called = `the name ${name}`;
  if (entries.length === 0) {
    const outcome = asked.addresses.length > 0 ? "passed" : "stopped";
    return { ...asked, hop: { name: called, outcome, evidence: asked.evidence } };
  }
  // Those of IPv6 come first, where there is a way to them (RFC 6724).
  const reached = entries.map(({ address }) => address).filter((one) =>
    familyOfKnown(one) === 4 || typeof scene.inside.routeTo(one) !== "string"
  ).toSorted((a, b) => familyOfKnown(b) - familyOfKnown(a));
  const addresses = reached.length > 0 ? reached : [entries[0]!.address];
  const differs = asked.addresses.length > 0 &&
    !asked.addresses.some((one) => addresses.includes(one));
  const evidence = [`/etc/hosts: ${addresses.join(", ")}`, ...differs ? asked.evidence : []];
  const hop = { name: called, outcome: "passed" as const, evidence };
  const instead = differs ? asked.addresses : undefined;
  return { addresses, instead, isUnsure: false, hop, causes: [] };
}

/** One server after the other, for one completed name after the other (resolv.conf(5)). */
async function askServers(scene: Scene, resolver: Resolver, name: string) {
  const servers = resolver.servers.filter(isAddress);
  const evidence = servers.length === 0 ? ["the container has no DNS server"] : [];
  let isUnsure = false;
  const none: Cause[] = [];
  for (const full of namesFor(resolver, name).slice(0, MOST_NAMES)) {
    for (const server of servers) {
      const [v4, v6] = await Promise.all(
        [TYPE_A, TYPE_AAAA].map((type) => resolveName(scene.task, server, full, { type })),
      ) as [DnsAnswer, DnsAnswer];
      // What it has no way to fails at once.
      const reached = v6.addresses.filter((one) => typeof scene.inside.routeTo(one) !== "string");
      const addresses = [...reached, ...v4.addresses];
      isUnsure ||= v4.outcome === "timed out";
      const said = addresses.join(", ") || explained(v4.outcome);
      evidence.push(`${server} says of ${full}: ${said}`);
      const causes = v4.truncated ? await askByTcp(scene, resolver, server, full) : [];
      if (causes.length > 0) return { addresses: [], evidence, causes, isUnsure };
      if (addresses.length > 0) {
        const found = await answersAll(scene, resolver, server, full.slice(name.length + 1));
        return { addresses, evidence, causes: found, isUnsure };
      }
      none.push(...withoutAddress(scene, server, full, [v4, v6]));
      // The next server is asked only when this one could not say.
      if (v4.outcome === "NOERROR" || v4.outcome === "NXDOMAIN") break;
    }
  }
  // Of several completions, one that somebody has made.
  const found = none.find(({ why }) => why === "alias") ?? none[0];
  return { addresses: [], evidence, causes: found && !isUnsure ? [found] : [], isUnsure };
}

/** What a server says of a name that it knows no address of. */
function withoutAddress(
  { name: container }: Scene,
  address: string,
  value: string,
  answers: readonly [DnsAnswer, DnsAnswer],
): Cause[] {
  const [{ outcome }] = answers;
  const isKnown = outcome === "NOERROR";
  if (!isKnown && outcome !== "NXDOMAIN") return [];
  const isAlias = answers.some((one) => one.isAlias);
  const why = isAlias ? "alias" : isKnown ? undefined : outcome;
  const said = `${address} says of ${value}: ${outcome}${isAlias ? ", a CNAME" : ""}`;
  return [
    cause("name_without_address", ["dns", "outside"], { container, address, value, why }, [said]),
  ];
}

/** Whether a domain that the name was completed with has an address for every name. */
async function answersAll(
  { task, name: container }: Scene,
  { ndots, file }: Resolver,
  server: string,
  domain: string,
): Promise<Cause[]> {
  // Short names are meant to be completed; those that are names already are not.
  if (domain === "" || ndots <= 1) return [];
  const { addresses } = await resolveName(task, server, `${SEARCHED}.${domain}`);
  const about = { container, address: server, file, value: domain, why: String(ndots) };
  return addresses.length === 0 ? [] : [
    cause("dns_search_wildcard", ["dns", "container"], about, [
      `${server} says of ${SEARCHED}.${domain}, which nobody has: ${addresses.join(", ")}`,
    ]),
  ];
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
  const place = scene.host.ownerOf(server) ? "agent" : "outside";
  const other = explained(outcome);
  const about = { container: scene.name, address: server, file, value: name, other, why: "lost" };
  return [cause("dns_truncated", ["dns", place], about, [
    `the answer of ${server} for ${name} over UDP is truncated`,
    `asked for ${name} over TCP: ${other}`,
  ])];
}
