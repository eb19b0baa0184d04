/** One packet, hop by hop: how far it gets, and what stops it. */
import { OperatorError } from "../base/error.ts";
import type { Layout } from "../containers/layout.ts";
import { isAddress } from "../base/ip.ts";
import { SystemError } from "../kernel/libc.ts";
import { networkAddresses } from "../netns/network_address.ts";
import { sockets } from "../netns/sockets.ts";
import { plain } from "../netns/table.ts";
import { findTarget, requireAlive, type Target } from "../netns/target.ts";
import { TokenRange } from "./diagnose.ts";
import { explain } from "./explain.ts";
import { complete, type Finding } from "./finding.ts";
import {
  between,
  type Ends,
  endsOf,
  type Journey,
  journey,
  legText,
  through,
  toAgent,
  toWire,
} from "./journey.ts";
import { Session } from "./observe/session.ts";
import { resolveName, TYPE_AAAA } from "./packets/dns.ts";
import { tryEcho } from "./packets/echo.ts";
import type { Protocol } from "./packets/frame.ts";
import { explained } from "./packets/outcome.ts";
import { tryConnect } from "./packets/tcp.ts";
import { tryDatagram } from "./packets/udp.ts";
import { trailOf } from "./place.ts";
import { answered, failed, type Question } from "./questions/question.ts";
import { RuleTexts } from "./reasons/rule_text.ts";
import { resolverOf } from "./resolver.ts";
import { type Attached, Scene } from "./scene.ts";

/** A place on the way. */
export interface Hop {
  name: string;
  /** Whether the packet was seen there; `unknown` behind the one where it was lost. */
  outcome: "passed" | "stopped" | "unknown";
  /** What was seen there. */
  evidence: string[];
}

export interface FollowedPacket {
  from: string;
  /** `ADDRESS:PORT/PROTOCOL` */
  to: string;
  /** What became of it. */
  connection: string;
  /** Whether an answer came, or of UDP the packet arrived. */
  arrived: boolean;
  hops: Hop[];
  findings: Finding[];
}

interface Destination {
  address: string;
  port: number;
  protocol: Protocol;
  container?: Target;
}

const CONNECT_MS = 1500;

/**
 * Follows a packet from a container to `ID`, `ID:PORT`, `ADDRESS`, `ADDRESS:PORT` or `NAME:PORT`,
 * each also with `/udp`, `/tcp` or `/icmp` behind it.
 *
 * @throws {OperatorError} for a destination that can't be understood
 */
export async function follow(layout: Layout, from: Target, to: string): Promise<FollowedPacket> {
  requireAlive(from);
  const others: Scene[] = [];
  using scene = new Scene(layout, from);
  try {
    const hops: Hop[] = [];
    const destination = await resolve(layout, scene, to, hops);
    if (!destination) {
      return { from: from.name, to, connection: "no address", arrived: false, hops, findings: [] };
    }
    const question = questionOf(scene, destination, (other) => others.push(other));
    const range = new TokenRange();
    const token = range.take();
    await using session = await Session.open(range.tokens, [{ token, ...question }], true);
    const answer = await question.ask(token, session);
    await session.finish();
    const trail = trailOf(question.journey, session, token);
    for (const [i, leg] of question.journey.legs.entries()) {
      const seen = trail.seen[i];
      hops.push({
        name: legText(leg),
        outcome: seen
          ? "passed"
          : i > trail.last + 1
          ? "unknown"
          : answer.outcome === "answered"
          ? "unknown"
          : "stopped",
        evidence: seen
          ? [
            `${seen.packet.source} → ${seen.packet.destination}, ${seen.length} bytes${
              seen.to ? ` to ${seen.to}` : ""
            }`,
          ]
          : [],
      });
    }
    const findings = answer.outcome === "answered"
      ? []
      : (await explain(scene, question, answer, token, session, new RuleTexts())).map(complete);
    return {
      from: from.name,
      to: endpoint(destination),
      connection: answer.detail,
      arrived: answer.outcome === "answered",
      hops,
      findings,
    };
  } finally {
    for (const other of others) other[Symbol.dispose]();
  }
}

function questionOf(
  scene: Scene,
  destination: Destination,
  open: (scene: Scene) => void,
): Question {
  const { address, port, protocol, container } = destination;
  const attached = attachedTo(scene, address);
  const ends = attached && endsOf(scene, attached);
  const path = ends ? pathTo(scene, ends, destination, open) : journey("container", "outside", []);
  const { netns } = scene.inside;
  return {
    topic: "outside",
    text: `reaches ${endpoint(destination)}`,
    family: address.includes(":") ? 6 : 4,
    journey: path,
    protocol,
    destination: address,
    port,
    neighbours: [
      ...scene.inside.routes.flatMap(({ gateway }) => gateway ?? []),
      address,
      ...attached?.expected.map((one) => one.address) ?? [],
    ],
    async ask(token, session) {
      if (protocol === "icmp") {
        const outcome = await tryEcho(netns, address, token);
        return outcome === "answered" ? answered("it answers an echo") : failed(outcome);
      }
      if (protocol === "udp") {
        const outcome = await tryDatagram(netns, address, port, token);
        if (outcome === "answered") return answered("an answer came");
        const there = path.legs.filter(({ way }) => way === "there").at(-1);
        const arrived = container !== undefined && there !== undefined &&
          session.of(token).some(({ at, direction }) =>
            at === there.stop.point.name && direction === "in"
          );
        return outcome === "no answer" && arrived
          ? answered("it arrived; nothing answered, as UDP need not")
          : failed(outcome);
      }
      const outcome = await tryConnect(netns, address, port, CONNECT_MS, token);
      return outcome === "connected" ? answered(outcome) : failed(outcome);
    },
    reasons: (_, { detail }) => detail === "ECONNREFUSED" ? listeners(destination, scene) : [],
  };
}

/** A refusal that came from the far end itself. */
function listeners({ container, port, protocol, address }: Destination, scene: Scene): Finding[] {
  const place = container
    ? "neighbour" as const
    : scene.host.ownerOf(address)
    ? "agent" as const
    : "outside" as const;
  return [{
    code: "nobody_listens",
    level: "problem",
    mechanism: "listener",
    place,
    text: `${
      container ? container.name : address
    } refuses: nothing there listens on ${port}/${protocol}`,
    evidence: ["a refusal came back, and no rule was seen that made it"],
    remedy: container
      ? `see what listens there: mesos-cni netns inspect ${container.name}`
      : `see whether the service runs on ${address}`,
  }];
}

function attachedTo(scene: Scene, address: string): Attached | undefined {
  try {
    const route = scene.inside.netlink.routeTo(address);
    const found = scene.interfaces.find(({ link }) => link?.index === route.link);
    if (found) return found;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  return scene.interfaces.find(({ link }) => link !== undefined);
}

function pathTo(
  scene: Scene,
  ends: Ends,
  { address, container, port, protocol }: Destination,
  open: (scene: Scene) => void,
): Journey {
  const to = container ?? mappedTo(scene, address, port, protocol);
  if (to) {
    const theirs = new Scene(scene.layout, to);
    open(theirs);
    const their = theirs.interfaces.find(({ expected }) =>
      container === undefined || expected.some((one) =>
        one.address === address
      )
    ) ??
      theirs.interfaces[0];
    const far = their && endsOf(theirs, their, "neighbour");
    if (far) return between(ends, far);
  }
  if (scene.host.ownerOf(address)) return ends.attached.hostEnd ? toAgent(ends) : toWire(ends);
  try {
    const route = scene.host.netlink.routeTo(address);
    const link = scene.host.linkAt(route.link);
    return through(ends, link && link.index !== ends.bridge?.link.index ? link : undefined);
  } catch (error) {
    if (error instanceof SystemError) return through(ends, undefined);
    throw error;
  }
}

/** The container that a port of the agent leads to. */
function mappedTo(
  scene: Scene,
  address: string,
  port: number,
  protocol: Protocol,
): Target | undefined {
  if (!scene.host.ownerOf(address)) return undefined;
  const found = scene.containers.find(({ id, namespaceAlive, attachments }) =>
    namespaceAlive && id !== scene.container?.id &&
    attachments.some(({ portMappings }) =>
      portMappings.some((one) => one.hostPort === port && one.protocol === protocol)
    )
  );
  return found && { name: found.id, netns: found.netns, id: found.id };
}

async function resolve(
  layout: Layout,
  scene: Scene,
  to: string,
  hops: Hop[],
): Promise<Destination | undefined> {
  const [, place = to, given] = /^(.*?)(?:\/(udp|tcp|icmp))?$/.exec(to) ?? [];
  const container = findContainer(layout, place) ??
    findContainer(layout, /^(.+):\d{1,5}$/.exec(place)?.[1] ?? "");
  const bracketed = /^\[(.+)\](?::(\d{1,5}))?$/.exec(place);
  const [, name = place, digits] = bracketed ??
    (isAddress(place) ? [place, place] : /^(.+?)(?::(\d{1,5}))?$/.exec(place)) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  const protocol = (given ?? (port === undefined && !container ? "icmp" : "tcp")) as Protocol;
  if (port !== undefined && (port < 1 || port > 65535)) throw bad(to);
  if (container) return ofContainer(layout, container, port, protocol);
  if (isAddress(name)) {
    if (port === undefined && protocol !== "icmp") throw bad(to);
    return { address: name, port: port ?? 0, protocol };
  }
  if (port === undefined && given !== "icmp") throw bad(to);
  const resolver = resolverOf(scene);
  const entry = resolver.hosts.find(({ names }) => names.includes(name));
  if (entry && isAddress(entry.address)) {
    hops.push({
      name: `the name ${name}`,
      outcome: "passed",
      evidence: [`/etc/hosts: ${entry.address}`],
    });
    return { address: entry.address, port: port ?? 0, protocol };
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
      const answer = await resolveName(scene.inside.netns, server, full);
      const found = answer.addresses[0] ??
        (answer.outcome === "NOERROR"
          ? (await resolveName(scene.inside.netns, server, full, { type: TYPE_AAAA })).addresses[0]
          : undefined);
      evidence.push(`${server} says of ${full}: ${found ?? explained(answer.outcome)}`);
      if (found !== undefined) {
        hops.push({ name: `the name ${name}`, outcome: "passed", evidence });
        return { address: found, port: port ?? 0, protocol };
      }
      // The next server is asked only when this one could not say.
      if (answer.outcome === "NOERROR" || answer.outcome === "NXDOMAIN") break;
    }
  }
  hops.push({
    name: `the name ${name}`,
    outcome: "stopped",
    evidence: servers.length === 0 ? ["the container has no DNS server"] : evidence,
  });
  return undefined;
}

function bad(to: string): OperatorError {
  return new OperatorError(
    "bad_destination",
    `--to=${to} is no container, and not like 192.0.2.1:80, db.example:5432, 192.0.2.1:53/udp or 192.0.2.1/icmp`,
  );
}

function findContainer(layout: Layout, id: string): Target | undefined {
  if (id === "") return undefined;
  try {
    return findTarget(layout, { id });
  } catch (error) {
    if (error instanceof OperatorError && error.code === "unknown_container") return undefined;
    throw error;
  }
}

function ofContainer(
  layout: Layout,
  target: Target,
  wanted: number | undefined,
  protocol: Protocol,
): Destination {
  using scene = new Scene(layout, target);
  const address = scene.container?.attachments.flatMap(networkAddresses)[0]?.address;
  const port = protocol === "icmp" ? 0 : wanted ??
    sockets(scene.inside).find((one) =>
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

function endpoint({ address, port, protocol }: Destination): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return protocol === "icmp"
    ? `${address}/icmp`
    : `${host}:${port}${protocol === "udp" ? "/udp" : ""}`;
}

/** A followed packet as text for a terminal. */
export function followedText({ from, to, connection, hops, findings }: FollowedPacket): string {
  const marks = { passed: "✓", stopped: "✗", unknown: "?" };
  const lines = hops.flatMap(({ name, outcome, evidence }) => [
    `${marks[outcome]} ${name}`,
    ...evidence.map((one) => `    ${one}`),
  ]);
  const causes = findings.flatMap(({ text, evidence, remedy }, i) => [
    `${i === 0 ? "cause" : "also"}: ${text}`,
    ...evidence.map((one) => `  seen    ${one}`),
    `  do      ${remedy}`,
  ]);
  return [`${from} → ${to}: ${explained(connection)}`, ...lines, ...causes].map(plain).join("\n");
}
