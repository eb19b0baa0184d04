/** One connection, hop by hop: how far its packets get, and what stops them. */
import { OperatorError } from "../base/error.ts";
import type { Layout } from "../containers/layout.ts";
import { isAddress } from "../base/ip.ts";
import { SystemError } from "../kernel/libc.ts";
import type { Link, Route } from "../netlink/mod.ts";
import type { Finding } from "./finding.ts";
import { answersFor } from "./packets/who_has.ts";
import { resolveName } from "./packets/dns.ts";
import { explained } from "./packets/outcome.ts";
import { type ConnectOutcome, tryConnect } from "./packets/tcp.ts";
import { probeAddresses } from "./probes/address.ts";
import { probeBridges } from "./probes/bridge.ts";
import { nameserversOf } from "./probes/dns.ts";
import { probeForwarding } from "./probes/forwarding.ts";
import { probeLinks } from "./probes/link.ts";
import { probeWayBack } from "./probes/way_back.ts";
import { networkAddresses } from "../netns/network_address.ts";
import { type Packet, walk } from "../packetpath/walk.ts";
import { Scene } from "./scene.ts";
import { sockets } from "../netns/sockets.ts";
import { plain } from "../netns/table.ts";
import { findTarget, requireAlive, type Target } from "../netns/target.ts";

/** A place on the way. */
export interface Hop {
  name: string;
  /** Whether packets get past it; `unknown` behind the one that stops them. */
  outcome: "passed" | "stopped" | "unknown";
  /** What was seen there. */
  evidence: string[];
}

export interface Trail {
  from: string;
  /** `ADDRESS:PORT` */
  to: string;
  /** What became of a real connection, tried from inside. */
  connection: ConnectOutcome;
  hops: Hop[];
}

/** Where a connection leads: any address, or a container of this agent. */
interface Destination {
  address: string;
  port: number;
  container?: Target;
}

const CONNECT_MS = 2000;
/** That of the thread that everything here runs on. */
const OWN_NAMESPACE = "/proc/thread-self/ns/net";
const BLOCKING = new Set(["DROP", "REJECT"]);

/**
 * Follows a TCP connection from a container to `ID`, `ID:PORT`, `ADDRESS:PORT` or `NAME:PORT`.
 *
 * @throws {OperatorError} for a destination that can't be understood
 */
export async function follow(layout: Layout, from: Target, to: string): Promise<Trail> {
  requireAlive(from);
  using scene = new Scene(layout, from);
  const hops: Hop[] = [];
  const destination = await resolve(layout, scene, to, hops);
  const shown = destination ? endpoint(destination) : to;
  if (!destination) return { from: from.name, to: shown, connection: "no address", hops };
  const { address, port } = destination;
  const connection = await tryConnect(from.netns, address, port, CONNECT_MS);
  for await (const hop of way(scene, destination, connection)) {
    // What really happened is stronger than any conclusion.
    if (connection === "connected") hop.outcome = "passed";
    else if (hops.some(({ outcome }) => outcome === "stopped")) hop.outcome = "unknown";
    hops.push(hop);
  }
  return { from: from.name, to: shown, connection, hops };
}

async function resolve(
  layout: Layout,
  scene: Scene,
  to: string,
  hops: Hop[],
): Promise<Destination | undefined> {
  const match = /^\[?(.+?)\]?(?::(\d{1,5}))?$/.exec(to);
  const [, name, digits] = match ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (name !== undefined && isAddress(name) && port !== undefined) return { address: name, port };
  const container = findContainer(layout, name ?? to);
  if (container) return ofContainer(layout, container, port);
  if (name === undefined || port === undefined) {
    throw new OperatorError(
      "bad_destination",
      `--to=${to} is no container, and not like 192.0.2.1:80 or db.example:5432`,
    );
  }
  const servers = nameserversOf(scene);
  const answers = await Promise.all(
    servers.map((server) => resolveName(scene.inside.netns, server, name)),
  );
  const address = answers.find(({ addresses }) => addresses.length > 0)?.addresses[0];
  hops.push({
    name: `the name ${name}`,
    outcome: address === undefined ? "stopped" : "passed",
    evidence: servers.length === 0
      ? ["the container has no DNS server"]
      : answers.map(({ outcome, addresses }, i) =>
        `${servers[i]} says: ${addresses.join(", ") || explained(outcome)}`
      ),
  });
  return address === undefined ? undefined : { address, port };
}

function findContainer(layout: Layout, id: string): Target | undefined {
  try {
    return findTarget(layout, { id });
  } catch (error) {
    if (error instanceof OperatorError && error.code === "unknown_container") return undefined;
    throw error;
  }
}

function ofContainer(layout: Layout, target: Target, wanted: number | undefined): Destination {
  using scene = new Scene(layout, target);
  const address = scene.container?.attachments.flatMap(networkAddresses)[0]?.address;
  const port = wanted ??
    sockets(scene.inside).find(({ state }) => state === "LISTEN")?.localPort;
  if (address !== undefined && port !== undefined) return { address, port, container: target };
  throw new OperatorError(
    "bad_destination",
    address === undefined
      ? `${target.name} has no address`
      : `nothing listens in ${target.name}: say which port is meant, as ${target.name}:80`,
  );
}

/** The hops in their order. */
async function* way(
  scene: Scene,
  destination: Destination,
  connection: ConnectOutcome,
): AsyncGenerator<Hop> {
  const { inside, host } = scene;
  const { address } = destination;
  const route = routeOf(() => inside.netlink.routeTo(address));
  if (typeof route === "string") {
    yield stopped(`the routes of ${scene.name}`, [`no route to ${address}: ${explained(route)}`]);
    return;
  }
  const link = inside.linkAt(route.link)!;
  const nextHop = route.gateway ?? address;
  yield passed(`the routes of ${scene.name}`, [
    `${address} goes ${route.gateway ? `to the gateway ${route.gateway}` : "straight"} by ` +
    `${link.name}, from ${route.source ?? "no address"}`,
  ]);
  const attached = scene.interfaces.find(({ ifName }) => ifName === link.name);
  if (link.kind !== "loopback") {
    yield found(
      [link.name, attached?.hostEnd?.name, attached?.bridge?.name].filter(Boolean).join(" – "),
      [
        ...probeLinks(scene),
        ...probeBridges(scene),
        ...await probeAddresses(scene),
      ],
      [`up, with a carrier${attached?.bridge ? `, on ${attached.bridge.name}` : ""}`],
    );
    yield neighbour(nextHop, link, await answersFor(inside.netns, link, nextHop, route.source));
    if (route.gateway !== undefined && host.ownerOf(route.gateway) && attached?.ingress) {
      yield* throughAgent(scene, destination, route, attached.ingress);
    }
  }
  if (destination.container) yield await atContainer(scene.layout, destination);
  yield atEnd(destination, connection);
}

/** From the bridge through the agent's rules and routes to the link it leaves by. */
async function* throughAgent(
  scene: Scene,
  { address, port }: Destination,
  { source }: Route,
  ingress: { name: string; index: number },
): AsyncGenerator<Hop> {
  const { host } = scene;
  const family = address.includes(":") ? 6 : 4;
  const packet: Packet = {
    protocol: "tcp",
    source: source ?? (family === 4 ? "0.0.0.0" : "::"),
    destination: address,
    sourcePort: 40000,
    destinationPort: port,
    input: ingress.name,
    toHost: host.ownerOf(address) !== undefined,
    state: "NEW",
  };
  const nat = await scene.rules("nat", family);
  const translated = nat && walk(nat, "PREROUTING", packet);
  const dnat = translated?.rule?.toDestination;
  yield passed("the agent's nat PREROUTING", [
    dnat ? `${dnat} instead, by: ${translated!.rule!.text}` : "leaves the destination as it is",
  ]);
  const target = dnat?.replace(/:\d+$/, "") ?? address;
  const targetPort = Number(/:(\d+)$/.exec(dnat ?? "")?.[1] ?? port);
  const toHost = host.ownerOf(target) !== undefined;
  const route = routeOf(() =>
    host.netlink.routeTo(target, { source: packet.source, inputLink: ingress.index })
  );
  const output = typeof route === "string" ? undefined : host.linkAt(route.link)?.name;
  yield found(
    "the agent's routes",
    [...probeWayBack(scene), ...toHost ? [] : probeForwarding(scene)],
    typeof route === "string"
      ? [`it would drop the packet: ${explained(route)}`]
      : [toHost ? `${target} is the agent itself` : `${target} leaves by ${output}`],
    typeof route === "string",
  );
  const chain = toHost ? "INPUT" : "FORWARD";
  const filter = await scene.rules("filter", family);
  const verdict = filter && walk(filter, chain, {
    ...packet,
    destination: target,
    destinationPort: targetPort,
    output: toHost ? undefined : output,
    toHost,
  });
  if (verdict) {
    const evidence = [
      verdict.rule ? `${verdict.target} by: ${verdict.rule.text}` : `its policy: ${verdict.target}`,
    ];
    const name = `the agent's firewall (${chain})`;
    yield BLOCKING.has(verdict.target) ? stopped(name, evidence) : passed(name, evidence);
  }
  if (toHost || typeof route === "string" || output === undefined) return;
  const egress = host.linkAt(route.link)!;
  const nextHop = route.gateway ?? target;
  const own = host.addressesOf(egress).find(({ family }) => family === "inet")?.address;
  yield neighbour(nextHop, egress, await answersFor(OWN_NAMESPACE, egress, nextHop, own));
}

/** The other container's own end. */
async function atContainer(layout: Layout, { container, port }: Destination): Promise<Hop> {
  using scene = new Scene(layout, container!);
  const listening = sockets(scene.inside).filter(({ state, localPort }) =>
    state === "LISTEN" && localPort === port
  );
  const places = listening.map(({ localAddress }) => localAddress);
  const reachable = places.some((place) => !place.startsWith("127.") && place !== "::1");
  return found(
    `container ${container!.name}`,
    [...probeLinks(scene), ...probeBridges(scene), ...await probeAddresses(scene)],
    [
      places.length > 0
        ? `listens on ${places.join(", ")} port ${port}`
        : `nothing listens on port ${port}`,
    ],
    !reachable,
  );
}

function atEnd(destination: Destination, connection: ConnectOutcome): Hop {
  const name = endpoint(destination);
  if (connection === "connected") return passed(name, ["a connection was made"]);
  return stopped(name, [
    connection === "ECONNREFUSED"
      ? "it answers that nothing listens there (connection refused)"
      : connection === "timed out"
      ? `no answer within ${CONNECT_MS / 1000} s: what goes out does not come back`
      : `the connection ends: ${explained(connection)}`,
  ]);
}

function neighbour(address: string, link: Link, answers: readonly string[]): Hop {
  const name = `${address} on ${link.name}`;
  return answers.length > 0
    ? passed(name, [`${answers.join(", ")} answers for it`])
    : stopped(name, ["nobody answers who has it"]);
}

function routeOf(ask: () => Route): Route | string {
  try {
    const route = ask();
    return ["unreachable", "blackhole", "prohibit"].includes(route.type) ? route.type : route;
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
}

/** A hop that is stopped by the first problem that probes found, or by `blocked`. */
function found(name: string, findings: Finding[], evidence: string[], blocked = false): Hop {
  const problems = findings.filter(({ level, cause }) =>
    level === "problem" && cause !== "lo_down"
  );
  if (problems.length > 0) {
    return stopped(name, problems.flatMap((one) => [one.summary, ...one.evidence]));
  }
  return blocked ? stopped(name, evidence) : passed(name, evidence);
}

function passed(name: string, evidence: string[]): Hop {
  return { name, outcome: "passed", evidence };
}

function stopped(name: string, evidence: string[]): Hop {
  return { name, outcome: "stopped", evidence };
}

function endpoint({ address, port }: Destination): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A trail as text for a terminal. */
export function trailText({ from, to, connection, hops }: Trail): string {
  const marks = { passed: "✓", stopped: "✗", unknown: "?" };
  const lines = hops.flatMap(({ name, outcome, evidence }) => [
    `${marks[outcome]} ${name}`,
    ...evidence.map((one) => `    ${one}`),
  ]);
  return [`${from} → ${to}: ${explained(connection)}`, ...lines].map(plain).join("\n");
}
