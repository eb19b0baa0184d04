/** What `--to` means: a container, a port of the agent, an address, or a name as the container resolves it. */
import { OperatorError } from "../base/error.ts";
import { isAddress } from "../base/ip.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, cause } from "../facts/cause.ts";
import { Scene } from "../facts/scene.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { sockets } from "../netlink/sockets.ts";
import type { NamespaceView } from "../netlink/view.ts";
import type { Container } from "../containers/inventory.ts";
import { findTarget, type Target } from "../containers/target.ts";
import { type DnsAnswer, resolveByTcp, resolveName, TYPE_AAAA } from "./packets/dns.ts";
import type { Protocol } from "./packets/frame.ts";
import { explained } from "./render/failure.ts";
import { type Resolver, resolverOf } from "./resolver.ts";

/** How a name was resolved, in the form of a hop. */
export interface NameHop {
  name: string;
  outcome: "passed" | "stopped";
  evidence: string[];
}

export interface Destination {
  address: string;
  port: number;
  protocol: Protocol;
  container?: Target;
  /** What is wrong with how its name was resolved, should it not answer. */
  suspicion?: Cause;
}

/** Where a name leads, or why it does not. */
export interface Resolved {
  destination?: Destination;
  causes: Cause[];
}

/** @param hops told how a name was resolved. @throws {OperatorError} for what can't be understood */
export async function resolve(
  agent: Agent,
  scene: Scene,
  to: string,
  hops: { push(hop: NameHop): unknown },
): Promise<Resolved> {
  const found = (destination: Destination): Resolved => ({ destination, causes: [] });
  const { place, given, name, port } = partsOf(to);
  const container = findContainer(agent, place) ??
    findContainer(agent, /^(.+):\d{1,5}$/.exec(place)?.[1] ?? "");
  const protocol = given ?? (port === undefined && !container ? "icmp" : "tcp");
  if (container) return found(ofContainer(agent, container, port, protocol));
  if (isAddress(name)) {
    if (port === undefined && protocol !== "icmp") throw bad(to);
    return found(ofAddress(scene, name, port, protocol));
  }
  if (port === undefined && given !== "icmp") throw bad(to);
  const resolver = resolverOf(scene);
  const entry = resolver.hosts.find(({ names }) => names.includes(name));
  if (entry && isAddress(entry.address)) {
    const other = await otherThan(scene, resolver, name, entry.address);
    hops.push({
      name: `the name ${name}`,
      outcome: "passed",
      evidence: [`/etc/hosts: ${entry.address}`, ...other === undefined ? [] : [`DNS: ${other}`]],
    });
    const suspicion = other === undefined
      ? undefined
      : hostsDiffer(scene, name, entry.address, other);
    return found({ ...ofAddress(scene, entry.address, port, protocol), suspicion });
  }
  const servers = resolver.servers.filter(isAddress);
  const dots = name.split(".").length - 1;
  const completed = resolver.search.map((domain) => `${name}.${domain}`);
  const names = name.endsWith(".")
    ? [name]
    : dots >= resolver.ndots
    ? [name, ...completed]
    : [...completed, name];
  const evidence: string[] = [];
  for (const full of names.slice(0, 7)) {
    for (const server of servers) {
      const answers = await askedBoth(scene, server, full);
      const address = firstOf(scene, answers);
      const { outcome } = answers[0];
      evidence.push(`${server} says of ${full}: ${address ?? explained(outcome)}`);
      const lost = await truncated(scene, server, full, answers);
      if (lost) {
        const [tcp] = lost.seen;
        hops.push({
          name: `the name ${name}`,
          outcome: "stopped",
          evidence: [...evidence, `${tcp}`],
        });
        return { causes: [lost] };
      }
      if (address !== undefined) {
        hops.push({ name: `the name ${name}`, outcome: "passed", evidence });
        return found(ofAddress(scene, address, port, protocol));
      }
      // The next server is asked only when this one could not say.
      if (outcome === "NOERROR" || outcome === "NXDOMAIN") break;
    }
  }
  hops.push({
    name: `the name ${name}`,
    outcome: "stopped",
    evidence: servers.length === 0 ? ["the container has no DNS server"] : evidence,
  });
  return { causes: [] };
}

type Both = readonly [a: DnsAnswer, aaaa: DnsAnswer];

function askedBoth({ task }: Scene, server: string, name: string): Promise<Both> {
  return Promise.all([
    resolveName(task, server, name),
    resolveName(task, server, name, { type: TYPE_AAAA }),
  ]);
}

/** The address that programs take first: of IPv6, where the container has an address and a way (RFC 6724). */
function firstOf({ inside }: Scene, [a, aaaa]: Both): string | undefined {
  const has6 = inside.addresses.some(({ family, scope }) =>
    family === "inet6" && scope === "global"
  );
  const six = aaaa.addresses.find((one) => has6 && inside.wayTo(one).route !== undefined);
  return six ?? a.addresses[0] ?? aaaa.addresses[0];
}

/** An answer that UDP had no room for is asked for again by TCP, and has to come there. */
async function truncated(
  { task, name: container }: Scene,
  server: string,
  name: string,
  answers: Both,
): Promise<Cause | undefined> {
  if (!answers.some((one) => one.truncated)) return undefined;
  const outcome = await resolveByTcp(task, server, name);
  if (outcome !== "timed out" && outcome !== "no answer" && !outcome.startsWith("E")) {
    return undefined;
  }
  const values = { container, address: server, value: name, other: outcome, why: "lost" };
  return cause("dns_truncated", ["dns", "outside"], values, [
    `${server} has more of ${name} than UDP has room for; over TCP: ${outcome}`,
  ]);
}

/** An address that DNS has for a name, and that answers, where the file of hosts has another. */
async function otherThan(
  scene: Scene,
  { servers }: Resolver,
  name: string,
  address: string,
): Promise<string | undefined> {
  const server = servers.find(isAddress);
  if (server === undefined) return undefined;
  const addresses = (await askedBoth(scene, server, name)).flatMap((one) => one.addresses);
  return addresses.length === 0 || addresses.includes(address) ? undefined : addresses[0];
}

function hostsDiffer({ name }: Scene, value: string, address: string, other: string): Cause {
  const values = { container: name, file: "/etc/hosts", value, address, other };
  return cause("hosts_differ", ["dns", "container"], values, [`DNS has ${other} for ${value}`]);
}

function partsOf(to: string) {
  const [, place = to, given] = /^(.*?)(?:\/(udp|tcp|icmp))?$/.exec(to) ?? [];
  const bracketed = /^\[(.+)\](?::(\d{1,5}))?$/.exec(place);
  const [, name = place, digits] = bracketed ??
    (isAddress(place) ? [place, place] : /^(.+?)(?::(\d{1,5}))?$/.exec(place)) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65535)) throw bad(to);
  return { place, given: given as Protocol | undefined, name, port };
}

/** An address of this agent's containers, or a port of its own that leads to one. */
export interface Own {
  at: Destination;
  target: Target;
  /** Where the container itself has it. */
  address: string;
  port: number;
}

/** What `--to` means to the agent that has it. @throws {OperatorError} where no container has it */
export function resolveOwn(agent: Agent, to: string): Own {
  const { given, name, port = 0 } = partsOf(to);
  const protocol = given ?? (port === 0 ? "icmp" : "tcp");
  const at = { address: name, port, protocol };
  const holder = agent.holdersOf(name).find(({ namespaceAlive }) => namespaceAlive);
  if (holder) {
    const target = { name: holder.id, netns: holder.netns, id: holder.id };
    return { at, target, address: name, port };
  }
  const mapped = mappedTo(agent, at);
  if (mapped) return { at, ...mapped };
  throw new OperatorError("bad_destination", `no container of this agent has ${to}`);
}

/** The container that a port of the agent leads to, and where. */
export function mappedTo(
  { host, containers }: Pick<Agent, "host"> & { readonly containers: readonly Container[] },
  { address, port, protocol }: Destination,
  not?: string,
): Omit<Own, "at"> | undefined {
  if (!host.ownerOf(address)) return undefined;
  for (const { id, netns, namespaceAlive, attachments } of containers) {
    if (!namespaceAlive || id === not) continue;
    for (const checkpoint of attachments) {
      const mapping = checkpoint.portMappings.find((one) =>
        one.hostPort === port && one.protocol === protocol
      );
      const to = networkAddresses(checkpoint).find((one) =>
        (one.family === 6) === address.includes(":")
      );
      if (!mapping || !to) continue;
      return { target: { name: id, netns, id }, address: to.address, port: mapping.containerPort };
    }
  }
  return undefined;
}

function bad(to: string): OperatorError {
  return new OperatorError(
    "bad_destination",
    `--to=${to} is no container, and not like 192.0.2.1:80, db.example:5432, 192.0.2.1:53/udp or 192.0.2.1/icmp`,
  );
}

/** However it was named, an address of another container is that container's. */
function ofAddress(
  scene: Scene,
  address: string,
  port: number | undefined,
  protocol: Protocol,
): Destination {
  const owner = scene.ownerOf(address);
  return {
    address,
    port: port ?? 0,
    protocol,
    container: owner?.namespaceAlive
      ? { name: owner.id, netns: owner.netns, id: owner.id }
      : undefined,
  };
}

function findContainer(agent: Agent, id: string): Target | undefined {
  if (id === "") return undefined;
  try {
    return findTarget(agent.sources.layout, { id });
  } catch (error) {
    if (error instanceof OperatorError && error.code === "unknown_container") return undefined;
    throw error;
  }
}

function ofContainer(
  agent: Agent,
  target: Target,
  wanted: number | undefined,
  protocol: Protocol,
): Destination {
  using scene = Scene.of(agent, target);
  const address = scene.container?.attachments.flatMap(networkAddresses)[0]?.address;
  const port = protocol === "icmp" ? 0 : wanted ??
    sockets(scene.inside as NamespaceView).find((one) =>
      one.protocol === protocol && (one.state === "LISTEN" || one.state === "UNCONN")
    )?.localPort;
  if (address !== undefined && port !== undefined) {
    return { address, port, protocol, container: target };
  }
  throw new OperatorError(
    "bad_destination",
    address === undefined
      ? `${target.name} has no address of its own`
      : `nothing in ${target.name} listens, so say which port: --to=${target.name}:PORT`,
  );
}

/** `ADDRESS:PORT/PROTOCOL` */
export function endpoint({ address, port, protocol }: Destination): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return protocol === "icmp"
    ? `${address}/icmp`
    : `${host}:${port}${protocol === "udp" ? "/udp" : ""}`;
}
