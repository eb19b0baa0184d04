/** One packet, hop by hop: how far it gets, and what stops it. */
import type { Layout } from "../containers/layout.ts";
import { SystemError } from "../kernel/libc.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { plain } from "../netns/table.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import { type Destination, endpoint, resolve } from "./destination.ts";
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
import { tryEcho } from "./packets/echo.ts";
import type { Protocol } from "./packets/frame.ts";
import { explained } from "./packets/outcome.ts";
import { tryConnect } from "./packets/tcp.ts";
import { tryDatagram } from "./packets/udp.ts";
import { trailOf } from "./place.ts";
import { answered, failed, type Question } from "./questions/question.ts";
import { RuleTexts } from "./reasons/rule_text.ts";
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
  const mapped = container ? undefined : mappedTo(scene, address, port, protocol);
  const path = ends
    ? pathTo(scene, ends, destination, open, mapped?.target)
    : journey("container", "outside", []);
  const { netns } = scene.inside;
  return {
    topic: "outside",
    text: `reaches ${endpoint(destination)}`,
    family: address.includes(":") ? 6 : 4,
    journey: path,
    protocol,
    destination: address,
    port,
    realDestination: mapped?.address,
    realPort: mapped?.port,
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
    reasons: (_, { detail }) =>
      detail === "ECONNREFUSED" ? listeners(destination, scene, mapped) : [],
  };
}

/** A refusal that came from the far end itself. */
function listeners(
  { container, port, protocol, address }: Destination,
  scene: Scene,
  mapped: Mapped | undefined,
): Finding[] {
  if (mapped) {
    return listeners(
      { address: mapped.address, port: mapped.port, protocol, container: mapped.target },
      scene,
      undefined,
    );
  }
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
  { address, container }: Destination,
  open: (scene: Scene) => void,
  mapped: Target | undefined,
): Journey {
  const to = container ?? mapped;
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

/** Where a port of the agent leads to. */
interface Mapped {
  target: Target;
  address: string;
  port: number;
}

/** The container that a port of the agent leads to. */
function mappedTo(
  scene: Scene,
  address: string,
  port: number,
  protocol: Protocol,
): Mapped | undefined {
  if (!scene.host.ownerOf(address)) return undefined;
  for (const { id, netns, namespaceAlive, attachments } of scene.containers) {
    if (!namespaceAlive || id === scene.container?.id) continue;
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
