/** For each mapped port: does a connection from outside arrive, from the agent, from the container? */
import { receiveAs } from "../../kernel/bpf.ts";
import { SystemError } from "../../kernel/libc.ts";
import type { PortMapping } from "../../cni/port_mappings.ts";
import { listOwners } from "../../ports/mod.ts";
import { isObject } from "../../base/json.ts";
import { endsOf, fromAgent, fromOutside, hairpin, isAt, type Journey } from "../journey.ts";
import type { Session } from "../observe/session.ts";
import {
  ACK,
  ETH_P_IP,
  ETH_P_IPV6,
  FIRST_SEQUENCE,
  type Flow,
  frame,
  ipPacket,
  RST,
  type Seen,
  SYN,
} from "../packets/frame.ts";
import { REQUEST } from "../packets/talk.ts";
import { sendPacket } from "../packets/connect.ts";
import type { Sender } from "../packets/sender.ts";
import { accepts, type Mapped } from "../mapped.ts";
import { MAPPERS } from "../../facts/readers/ports.ts";
import {
  type Attached,
  givenTo,
  leadsBy,
  leadsOut,
  pluginOf,
  type Scene,
  type Uplink,
} from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import { listeners } from "../../netlink/sock_diag.ts";
import { askListener, type MayTalkTo } from "./listener.ts";
import { answered, failed, type Question, unasked } from "./question.ts";

const TIMEOUT_MS = 900;
const WAIT_MS = 900;
/** More mappings than anyone has are not all asked. */
const MOST_MAPPINGS = 8;
/** Documentation's own (RFC 5737, RFC 3849): nobody's, and routed like everybody's. */
const SOMEWHERE = { 4: ["198.51.100.77", "192.0.2.77", "203.0.113.77"], 6: ["2001:db8:ffff::77"] };
/** Locally administered, and of nobody. */
const STRANGER_MAC = "02:6d:63:6e:69:01";
const PAYLOAD = new TextEncoder().encode("mesos-cni diagnose");

/** @param clients of its ports that are asked as, besides strangers */
export function portQuestions(
  scene: Scene,
  mayTalkTo: MayTalkTo,
  clients: readonly string[] = [],
): Question[] {
  const questions: Question[] = [];
  for (const attached of scene.interfaces) {
    const mapper = pluginOf(attached.checkpoint, ...MAPPERS);
    const ends = endsOf(scene, attached);
    const mappings = (attached.checkpoint?.portMappings ?? []).slice(0, MOST_MAPPINGS);
    if (!mapper || !ends) continue;
    for (const mapping of mappings) {
      if (mapping.protocol !== "tcp" && mapping.protocol !== "udp") continue;
      for (const family of [4, 6] as const) {
        const address = givenTo(attached, family);
        const uplink = scene.uplink(family);
        if (!address || !uplink || !attached.hostEnd) continue;
        if (family === 6 && !mapsPorts6(scene, attached)) continue;
        const at = hostAddressOf(attached, mapping, family) ?? uplink.agentAddress;
        if (at.includes(":") !== (family === 6)) continue;
        const mapped = { attached, ends, mapping, address, uplink, at, snat: mapper.snat === true };
        const isSilent = !mayTalkTo(mapping.containerPort) || !mayTalkTo(mapping.hostPort);
        for (const stranger of strangersOf(scene, uplink, family, clients)) {
          // Who is near may be somebody, and ends what he has not begun.
          const payload = SOMEWHERE[family].includes(stranger) && !isSilent;
          questions.push(outsider(scene, mapped, stranger, payload));
        }
        if (mapping.protocol === "tcp") {
          const own = mapper.snat === true && family === 4 && mapper.type === MAPPERS[0];
          for (const to of own ? [at, "127.0.0.1"] : [at]) {
            // One that talks to nobody else meanwhile is asked but once.
            const payload = to === at && !isSilent;
            questions.push(
              local(scene, mapped, to, fromAgent(ends), `the agent itself at ${to}`, {}, payload),
            );
          }
          const excluded = Array.isArray(mapper.excludeDevices) &&
            mapper.excludeDevices.includes(attached.ingress?.name ?? "");
          if (mapper.snat === true && !excluded) {
            const sender = scene.task;
            questions.push(
              local(scene, mapped, at, hairpin(ends), "the container itself", sender, false),
            );
          }
        }
      }
    }
  }
  return questions;
}

/** Whether a port mapper's rules are also for IPv6: the original's, and others', may not be. */
function mapsPorts6({ container }: Scene, { checkpoint }: Attached): boolean {
  return listOwners().some((record) =>
    record.containerId === container?.id && record.ifName === checkpoint?.ifName &&
    record.endpoints.some(({ family }) => family === 6)
  );
}

/** The address of the agent that a mapping is bound to, if it is to one. */
function hostAddressOf(
  { checkpoint }: Attached,
  { hostPort }: PortMapping,
  family: 4 | 6,
): string | undefined {
  const entries = checkpoint!.plugins.flatMap((plugin) => {
    const runtime = isObject(plugin.runtimeConfig) ? plugin.runtimeConfig.portMappings : undefined;
    return Array.isArray(runtime) ? runtime.filter(isObject) : [];
  });
  const found = entries.find((one) => one.hostPort === hostPort)?.hostIP;
  return typeof found === "string" && found !== "" && found.includes(":") === (family === 6) &&
      found !== "0.0.0.0" && found !== "::"
    ? found
    : undefined;
}

/** Who a connection from outside may come from: a neighbour on the uplink, and somebody far away. */
function strangersOf(
  { host, agent }: Scene,
  uplink: Uplink,
  family: 4 | 6,
  clients: readonly string[],
): string[] {
  const own = new Set(host.addresses.map(({ address }) => address));
  const neighbours = host.neighbours.filter((one) =>
    one.link === uplink.link.index && one.mac !== undefined &&
    one.address.includes(":") === (family === 6) &&
    // A container whose veth was once there is no stranger.
    agent.holdersOf(one.address).length === 0 && isSomebody(one.address) &&
    !["FAILED", "NOARP", "INCOMPLETE"].includes(one.state)
  ).map(({ address }) => address);
  const named = clients.filter((one) => one.includes(":") === (family === 6));
  const near = neighbours.find((one) => !named.includes(one)) ?? uplink.somewhere;
  const isDefault = host.routesOf(family).some((route) =>
    route.destination === "default" && route.table === "main" &&
    route.link === uplink.link.index
  );
  const far = SOMEWHERE[family].find((one) => leadsBy(host, one, uplink));
  return [near, ...named, ...isDefault && far ? [far] : []].filter((one) =>
    !own.has(one) && !one.startsWith("fe80:")
  );
}

/** Not a link's own, nor a group's. */
function isSomebody(address: string): boolean {
  return !/^(fe80:|ff|2(2[4-9]|3\d)\.|255\.)/.test(address);
}

function common(mapped: Mapped) {
  const { mapping, address, at } = mapped;
  return {
    topic: "port" as const,
    mapped,
    family: address.family,
    protocol: mapping.protocol as "tcp" | "udp",
    destination: at,
    port: mapping.hostPort,
    realPort: mapping.containerPort,
    realDestination: address.address,
  };
}

function outsider(
  scene: Scene,
  mapped: Mapped,
  stranger: string,
  payload: boolean,
): Question {
  const { mapping, ends, uplink, address, at } = mapped;
  const path = fromOutside(ends, uplink.link, wayBackTo(scene, mapped, stranger));
  return {
    ...common(mapped),
    text:
      `port ${mapping.hostPort}/${mapping.protocol} is reached from ${stranger} by ${uplink.link.name}`,
    journey: path,
    neighbours: [address.address, stranger, uplink.somewhere],
    async ask(token, session, nth) {
      const flow: Flow = {
        protocol: mapping.protocol as "tcp" | "udp",
        source: stranger,
        destination: at,
        token,
        port: mapping.hostPort,
      };
      if (uplink.link.mac === undefined) {
        return unasked(`${uplink.link.name} has no Ethernet to send a frame by`);
      }
      const type = address.family === 6 ? ETH_P_IPV6 : ETH_P_IP;
      const enter = (packet: Uint8Array) =>
        receiveAs(uplink.link.index, frame(uplink.link.mac!, STRANGER_MAC, type, packet));
      try {
        enter(ipPacket(flow, { payload: PAYLOAD }));
      } catch (error) {
        if (error instanceof SystemError) {
          return unasked(`no frame can be let in by ${uplink.link.name}: ${error.message}`);
        }
        throw error;
      }
      const lastLeg = path.legs.at(-1)!;
      const firstBack = path.legs.find(({ way }) => way === "back")!;
      const end = performance.now() + WAIT_MS;
      let isAnswered = mapping.protocol !== "udp";
      while (
        performance.now() < end && !session.of(token).some((one) => isAt(lastLeg, one, token))
      ) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        isAnswered ||= answerUdp(scene, mapped, token, session);
      }
      const seen = session.of(token);
      const at0 = (i: number, way: "there" | "back") => {
        const legs = path.legs.filter((leg) => leg.way === way);
        return seen.filter((one) => isAt(legs.at(i)!, one, token));
      };
      const arrived = at0(-1, "there").length > 0;
      const back = at0(-1, "back");
      // The last hop is also reached when the agent asks who has the stranger's address.
      const askedFor = [stranger, uplink.somewhere].flatMap((one) => session.about(one))
        .some((one) => one.at === uplink.link.name && one.direction === "out");
      const reply = at0(0, "back");
      const syn = reply.find(({ packet }) => packet.flags & SYN);
      const isTaken = !payload || nth > 0 || !syn ||
        await isRequestTaken(
          syn.packet.sequence,
          flow,
          enter,
          () =>
            session.of(token).filter((one) => isAt(firstBack, one, token)).map(({ packet }) =>
              packet
            ),
        );
      if (syn && mapping.protocol === "tcp") {
        enter(ipPacket(flow, { flags: RST, sequence: syn.packet.acknowledge }));
      }
      if (!arrived) return failed({ kind: "not_arrived" });
      if (mapping.protocol === "tcp" && reply.some(({ packet }) => packet.flags & RST)) {
        return failed({ kind: "refused" });
      }
      const errors = seen.filter(({ at: where, direction, packet }) =>
        where === ends.eth.point.name && direction === "out" && packet.protocol === "icmp error"
      );
      if (errors.length > 0) return failed({ kind: "refused" });
      if (reply.length === 0) return failed({ kind: "no_answer" });
      const strange = back.find(({ packet }) =>
        packet.protocol === mapping.protocol &&
        (packet.source !== at || packet.sourcePort !== mapping.hostPort)
      );
      if (strange) {
        const { source, sourcePort } = strange.packet;
        return failed({ kind: "untranslated", address: source, port: sourcePort });
      }
      if (!isTaken) return failed({ kind: "stuck" });
      if (back.length > 0 || askedFor) return answered("it arrives, and its answer leaves");
      return failed({ kind: "answer_lost" });
    },
    stranger,
  };
}

const REQUEST_MS = 400;
const SEGMENT = 1200;

/** Sends a request on a connection that was begun by hand, and waits until the container has it. */
async function isRequestTaken(
  theirs: number,
  flow: Flow,
  enter: (packet: Uint8Array) => void,
  answers: () => Seen[],
): Promise<boolean> {
  const first = FIRST_SEQUENCE + 1;
  const acknowledge = (theirs + 1) >>> 0;
  enter(ipPacket(flow, { flags: ACK, sequence: first, acknowledge }));
  for (let at = 0; at < REQUEST.length; at += SEGMENT) {
    const payload = REQUEST.slice(at, at + SEGMENT);
    enter(ipPacket(flow, { flags: ACK, sequence: first + at, acknowledge, payload }));
  }
  const end = performance.now() + REQUEST_MS;
  const isOver = ({ flags, acknowledge: taken }: Seen) =>
    (flags & RST) !== 0 || taken - first >= REQUEST.length;
  while (!answers().some(isOver)) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** The link that the answer leaves by, where the agent's own routes lead it out by another one. */
function wayBackTo(
  { host, agent }: Scene,
  { ends: { attached }, address, uplink, mapping }: Mapped,
  stranger: string,
): Link {
  const input = attached.ingress?.index;
  const protocol = mapping.protocol === "tcp" ? 6 : 17;
  const route = input === undefined ? "" : host.routeTo(
    stranger,
    { source: address.address, inputLink: input },
    { protocol, sourcePort: mapping.containerPort, destinationPort: 0 },
  );
  const link = typeof route === "string" ? undefined : host.linkAt(route.link);
  return link && link.index !== input && leadsOut(host, agent.containers, link)
    ? link
    : uplink.link;
}

/** What a server's answer would be, since most servers do not answer to what they do not know. */
function answerUdp(
  scene: Scene,
  { ends, address, mapping }: Mapped,
  token: number,
  session: Session,
): boolean {
  const arrived = session.of(token).find(({ at, direction, packet }) =>
    at === ends.eth.point.name && direction === "in" && packet.protocol === "udp"
  );
  if (!arrived) return false;
  const waiting = listeners("udp", mapping.containerPort, scene.inside.netns);
  if (!waiting.some((one) => accepts(one, address))) return true;
  try {
    sendPacket(scene.inside.netns, {
      protocol: "udp",
      source: address.address,
      destination: arrived.packet.source,
      token: mapping.containerPort,
      port: arrived.packet.sourcePort,
    }, PAYLOAD);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  return true;
}

/** A connection from the agent itself, or from the container by a port of the agent. */
function local(
  scene: Scene,
  mapped: Mapped,
  at: string,
  journey: Journey,
  who: string,
  sender: Sender,
  payload: boolean,
): Question {
  const { hostPort, containerPort } = mapped.mapping;
  return {
    ...common(mapped),
    destination: at,
    text: `port ${hostPort}/tcp is reached from ${who}`,
    journey,
    neighbours: [mapped.address.address],
    ask(token, session, nth) {
      const listening = {
        at: { space: scene.inside, port: containerPort },
        journey,
        payload,
        connectMs: TIMEOUT_MS,
      };
      const probe = { ...sender, address: at, port: hostPort, token };
      return askListener(probe, listening, session, nth);
    },
  };
}
