/** A packet of somebody outside: it enters by a link of the agent as if that had just received it. */
import type { Failure } from "../failure.ts";
import { isA, unless } from "../../base/unless.ts";
import { receiveAs } from "../../kernel/bpf.ts";
import { SystemError } from "../../kernel/libc.ts";
import { leadsOut, type Scene, type Uplink } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import { accepts, listeners } from "../../netlink/sock_diag.ts";
import { type Ends, fromOutside, isAt, type Journey, type Leg } from "../journey.ts";
import type { Session } from "../observe/session.ts";
import { REQUEST, sendPacket } from "../packets/connect.ts";
import {
  ACK,
  ETH_P_IP,
  ETH_P_IPV6,
  FIRST_SEQUENCE,
  type Flow,
  frame,
  ipPacket,
  IPPROTO,
  RST,
  type Seen,
  SYN,
} from "../packets/frame.ts";
import { isUnread } from "./listener.ts";
import { answered, failed, type Question, unasked } from "./question.ts";

const WAIT_MS = 900;
/** Locally administered, and of nobody. */
const STRANGER_MAC = "02:6d:63:6e:69:01";
const PAYLOAD = new TextEncoder().encode("mesos-cni diagnose");

/** What a stranger asks for: where it is sent, and who has it in the end. */
export interface Coming extends Omit<Question, "journey" | "neighbours" | "ask" | "stranger"> {
  realDestination: string;
  realPort: number;
  ends: Ends;
  /** The link that it comes in by. */
  uplink: Uplink;
  /** Whether a request follows where a connection is taken. */
  payload: boolean;
}

/** Asks as a stranger would, and looks how far it comes and whether its answer leaves. */
export function askedBy(stranger: string, scene: Scene, coming: Coming): Question {
  const { ends, uplink, payload, ...asked } = coming;
  const { protocol, destination, port, realDestination } = asked;
  const path = fromOutside(ends, uplink.link, wayBackTo(scene, coming, stranger));
  // A mark of the connection's may lead its answer out by the link that it came by, which is right as well.
  const last = path.legs.at(-1)!;
  const ways = [last, { ...last, stop: path.legs[0]!.stop }];
  return {
    ...asked,
    stranger,
    journey: path,
    neighbours: [realDestination, stranger, uplink.somewhere],
    async ask(token, session, nth) {
      const flow: Flow = { protocol, source: stranger, destination, token, port };
      if (uplink.link.mac === undefined) {
        return unasked(`${uplink.link.name} has no Ethernet to send a frame by`);
      }
      const type = asked.family === 6 ? ETH_P_IPV6 : ETH_P_IP;
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
      let isAnswered = protocol !== "udp";
      await session.until(() => {
        isAnswered ||= answerUdp(scene, coming, token, session);
        const seen = session.of(token);
        const taken = ways.find((way) => seen.some((one) => isAt(way, one, token)));
        if (taken) path.legs.splice(-1, 1, taken);
        return taken !== undefined;
      }, WAIT_MS);
      const failure = failureOf(session, path, token);
      const answers = () => session.at(path, token, "back", 0).map(({ packet }) => packet);
      const syn = protocol === "tcp" ? answers().find(({ flags }) => flags & SYN) : undefined;
      const isTaken = !payload || nth > 0 || !syn || await session.until(
        sendRequest(syn.sequence, flow, enter, answers),
        REQUEST_MS,
      );
      if (syn) enter(ipPacket(flow, { flags: RST, sequence: syn.acknowledge }));
      if (failure && failure.kind !== "answer_lost") return failed(failure);
      const strange = session.at(path, token, "back", -1).find(({ packet }) =>
        packet.protocol === protocol &&
        (packet.source !== destination || protocol !== "icmp" && packet.sourcePort !== port)
      );
      if (strange) {
        const { source, sourcePort } = strange.packet;
        return failed({ kind: "untranslated", address: source, port: sourcePort });
      }
      const by = path.legs.at(-1)!.stop.link.name;
      if (asked.returns && by !== uplink.link.name && !failure) {
        return failed({ kind: "astray", device: uplink.link.name, by });
      }
      if (!isTaken) return failed({ kind: "stuck" });
      // The last hop is also reached when the agent asks who has the stranger's address. Whom it knows it
      // asks now and then too, and has no need to for an answer.
      const askedFor = [stranger, uplink.somewhere].filter((one) =>
        scene.host.neighbourNow(one, uplink.link)?.mac === undefined
      ).flatMap((one) => session.about(one))
        .some((one) => one.at === uplink.link.name && one.direction === "out");
      if (failure && !askedFor) return failed(failure);
      const address = session.at(path, token, "there", -1)[0]?.packet.source ?? stranger;
      if (address !== stranger) return failed({ kind: "hidden", address });
      if (protocol !== "udp") return answered("it arrives, and its answer leaves");
      return await isUnread(scene.inside, asked.realPort, session)
        ? failed({ kind: "unread" })
        : answered("it arrives and is read, and what an answer would be leaves");
    },
  };
}

/** Where a packet that came by a link of the agent, or its answer, has got lost; undefined if neither has. */
export function failureOf(session: Session, path: Journey, token: number): Failure | undefined {
  const at = (...leg: [Leg["way"], number]) => session.at(path, token, ...leg);
  const end = path.legs.findLast(({ way }) => way === "there")!.stop.name;
  if (at("there", -1).length === 0) return { kind: "not_arrived" };
  const replies = at("back", 0).map(({ packet }) => packet);
  const isError = session.of(token).some(({ at, direction, packet }) =>
    at === end && direction === "out" && packet.protocol === "icmp error"
  );
  const isReset = replies.some(({ protocol, flags }) => protocol === "tcp" && (flags & RST) !== 0);
  if (isError || isReset) return { kind: "refused" };
  if (replies.length === 0) return { kind: "no_answer" };
  return at("back", -1).length === 0 ? { kind: "answer_lost" } : undefined;
}

const REQUEST_MS = 400;
const SEGMENT = 1200;

/** Sends a request on a connection that was begun by hand. @returns whether the container has it by now */
function sendRequest(
  theirs: number,
  flow: Flow,
  enter: (packet: Uint8Array) => void,
  answers: () => Seen[],
): () => boolean {
  const first = FIRST_SEQUENCE + 1;
  const acknowledge = (theirs + 1) >>> 0;
  enter(ipPacket(flow, { flags: ACK, sequence: first, acknowledge }));
  for (let at = 0; at < REQUEST.length; at += SEGMENT) {
    const payload = REQUEST.slice(at, at + SEGMENT);
    enter(ipPacket(flow, { flags: ACK, sequence: first + at, acknowledge, payload }));
  }
  return () =>
    answers().some(({ flags, acknowledge: taken }) =>
      (flags & RST) !== 0 || taken - first >= REQUEST.length
    );
}

/** The link that the answer leaves by, where the agent's own routes lead it out by another one. */
function wayBackTo(
  { host, agent }: Scene,
  { ends: { attached }, uplink, protocol, realDestination, realPort }: Coming,
  stranger: string,
): Link {
  const input = attached.ingress?.index;
  const route = input === undefined ? "" : host.routeTo(
    stranger,
    { source: realDestination, inputLink: input },
    protocol === "icmp"
      ? undefined
      : { protocol: IPPROTO[protocol], sourcePort: realPort, destinationPort: 0 },
  );
  const link = typeof route === "string" ? undefined : host.linkAt(route.link);
  return link && link.index !== input && leadsOut(host, agent.containers, link)
    ? link
    : uplink.link;
}

/** What a server's answer would be, since most servers do not answer to what they do not know. */
function answerUdp(
  scene: Scene,
  { ends, family, realDestination: address, realPort: port }: Coming,
  token: number,
  session: Session,
): boolean {
  const arrived = session.of(token).find(({ at, direction, packet }) =>
    at === ends.eth.name && direction === "in" && packet.protocol === "udp"
  );
  if (!arrived) return false;
  const waiting = listeners("udp", port, scene.inside.netns);
  if (!waiting.some((one) => accepts(one, { address, family }))) return true;
  const flow = {
    protocol: "udp",
    source: address,
    destination: arrived.packet.source,
    token: port,
    port: arrived.packet.sourcePort,
  } as const;
  // A rule of the container's own may refuse it.
  unless(isA(SystemError), () => sendPacket(scene.inside.netns, flow, PAYLOAD));
  return true;
}
