/** One packet, hop by hop: how far it gets, and what stops it. */
import { familyOfKnown } from "../base/ip.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import { type Destination, type Destinations, endpoint, resolve } from "./destination.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, cause } from "../facts/cause.ts";
import { OF_AGENT, OF_CONTAINER, readFacts } from "../facts/facts.ts";
import { resolverOf } from "../facts/readers/resolver.ts";
import { Scene } from "../facts/scene.ts";
import { evidenceOf } from "./evidence.ts";
import { askKernel } from "./observe/kernel.ts";
import { KnownRules } from "./observe/rules.ts";
import { tokenOf, TRIES } from "./tokens.ts";
import { tryAll } from "./tries.ts";
import { legText } from "./journey.ts";
import { Session } from "./observe/session.ts";
import { type Hop, type Trail, trailOf } from "./place.ts";
import { connectionQuestion, proxyQuestions } from "./questions/connection.ts";
import { dnsQuestions } from "./questions/dns.ts";
import type { MayTalkTo } from "./questions/listener.ts";
import { type Answer, answeredAfterAll, type Question } from "./questions/question.ts";
import { swallowingHops } from "./paths.ts";
import { partialRules } from "./readers/partial.ts";
import { explain } from "./readers/table.ts";
import { answer, isGivenUp } from "./diagnose.ts";
import { mergeCauses } from "./verdict.ts";

export interface FollowedPacket {
  from: string;
  /** `ADDRESS:PORT/PROTOCOL` */
  to: string;
  /** What became of it; absent where the destination has no address. */
  answer?: Answer;
  /** Whether an answer came, or of UDP the packet arrived. */
  arrived: boolean;
  hops: Hop[];
  causes: Cause[];
  /** What to run on the agent that has the destination, where the packet has left this one. */
  there?: string[];
}

/** Connections of the last two minutes may be known to a table still. */
const WINDOWS = 50;
/** Of a name, that are tried. */
const MOST_ADDRESSES = 4;

/**
 * Follows a packet from a container to `ID`, `ID:PORT`, `ADDRESS`, `ADDRESS:PORT` or `NAME:PORT`,
 * each also with `/udp`, `/tcp` or `/icmp` behind it.
 *
 * @throws {OperatorError} for a destination that can't be understood
 */
export async function follow(
  agent: Agent,
  from: Target,
  to: string,
  mayTalkTo: MayTalkTo = () => true,
): Promise<FollowedPacket> {
  requireAlive(from);
  using opened = new DisposableStack();
  using scene = Scene.of(agent, from);
  const resolved = await resolve(agent, scene, to);
  const followed = await followResolved(agent, scene, to, resolved, mayTalkTo, opened);
  const isAsked = ({ destination, port }: Question) =>
    resolved.at.some((one) => one.address === destination && one.port === port);
  const isTcp = resolved.at.some(({ protocol }) => protocol === "tcp");
  const beside = [
    // Programs that are told of a proxy connect to that.
    ...isTcp ? (await proxyQuestions(agent, scene, opened)).filter((one) => !isAsked(one)) : [],
    // A name is resolved anew for each connection, and this one may have had the luck of it.
    ...resolved.name === undefined ? [] : dnsQuestions(scene, resolverOf(scene)),
  ];
  const found = beside.length === 0 ? [] : (await answer(scene, beside, askKernel(), [])).causes;
  const isWhole = followed.arrived && found.length === 0;
  const facts = isWhole && resolved.name === undefined ? [] : [
    ...scene.container ? await readFacts(OF_CONTAINER, scene) : [],
    ...isWhole ? [] : await readFacts(OF_AGENT, agent),
  ].flatMap(({ causes }) => causes).filter((one) => !isWhole || one.mechanism === "dns");
  return { ...followed, causes: mergeCauses([...followed.causes, ...found], facts) };
}

async function followResolved(
  agent: Agent,
  scene: Scene,
  to: string,
  { at: all, hop, causes = [], ...named }: Destinations,
  mayTalkTo: MayTalkTo,
  opened: DisposableStack,
): Promise<FollowedPacket> {
  const at = all.slice(0, MOST_ADDRESSES);
  const hops = hop ? [hop] : [];
  if (at.length === 0) return { from: scene.name, to, arrived: false, hops, causes };
  const followOne = async (destination: Destination): Promise<FollowedPacket> => {
    const question = await connectionQuestion(agent, scene, destination, mayTalkTo, opened);
    const to = endpoint(destination);
    const token = tokenOf(`${scene.name} ${to}`);
    const watched = await watch(scene, question, token);
    const { before } = watched.trail;
    const hasLeft = before?.way === "there" && before.stop.place === "uplink";
    const there = hasLeft && watched.answer.outcome === "failed"
      ? ["mesos-cni", "diagnose", `--to=${to}`, `--expect=${token}`]
      : undefined;
    return { from: scene.name, to, ...watched, hops: [...hops, ...watched.hops], there };
  };
  const followed: [Destination, FollowedPacket][] = [];
  for (const one of at) followed.push([one, await followOne(one)]);
  const failed = followed.find(([, { arrived }]) => !arrived);
  if (!failed) {
    // The kernel has chosen one next hop for it, and chooses others for others.
    const kernel = askKernel();
    const hops = at.map((one) =>
      swallowingHops(scene.host, kernel, {
        ...one,
        destination: one.address,
        from: scene.forwardedOf(familyOfKnown(one.address)),
      })
    );
    const [[, first]] = followed as [[Destination, FollowedPacket]];
    const causes = [first.causes, ...await Promise.all(hops), await partialRules(scene)].flat();
    return { ...first, causes };
  }
  const [{ address }, told] = failed;
  const other = followed.find(([, { arrived }]) => arrived)?.[0].address;
  const [instead] = named.instead ?? [];
  const about = { container: scene.name, address, value: named.name };
  if (other !== undefined) {
    const seen = `asked at each of its addresses: ${at.map(({ address }) => address).join(", ")}`;
    const values = { ...about, other };
    return withCause(told, cause("name_half_dead", ["dns", "outside"], values, [seen]));
  }
  if (!instead || !(await followOne(instead)).arrived) {
    return causes[0] ? withCause(told, causes[0]) : told;
  }
  const values = { ...about, file: "/etc/hosts", other: instead.address };
  const seen = `/etc/hosts: ${address}; DNS: ${instead.address}`;
  return withCause(told, cause("hosts_differ", ["dns", "container"], values, [seen]));
}

/** Where the way is whole as far as this agent or to who refuses, the name that led there comes first. */
function withCause(followed: FollowedPacket, ofName: Cause): FollowedPacket {
  const isHere = followed.causes.some(({ place, code }) =>
    place !== "outside" && code !== "lost" && code !== "nobody_listens"
  );
  const causes = isHere ? [...followed.causes, ofName] : [ofName, ...followed.causes];
  return { ...followed, causes };
}

/** Asks a question and looks at every hop. */
export async function watch(scene: Scene, question: Question, token: number) {
  // The first try is what another agent waits for; the others are connections that nobody knows yet.
  const others = token + 1 + Math.floor(Math.random() * WINDOWS) * TRIES;
  const tokens = { first: token, last: token + WINDOWS * TRIES };
  await using session = await Session.open(tokens, [question], true);
  const ask = () => tryAll(question, (nth) => nth === 0 ? token : others + nth, session);
  const first = await ask();
  session.drain();
  const isOver = !isGivenUp(question, first.answer, session);
  const { answer, token: tried } = isOver ? first : await ask();
  await session.finish();
  const trail = trailOf(question.journey, session.of(tried), tried);
  const evidence = () =>
    evidenceOf(scene, question, answer, tried, session, new KnownRules(), askKernel());
  const causes = answer.outcome === "failed" ? await explain(evidence()) : [...answer.hints ?? []];
  const now = answer.failure && causes.length === 0 ? answeredAfterAll(answer.failure) : answer;
  const hops = hopsOf(trail, now);
  return { answer: now, arrived: now.outcome === "answered", hops, causes, trail };
}

/** A hop that saw nothing before one that did is not where it stopped. */
export function hopsOf({ journey, seen, last }: Trail, { outcome }: Answer): Hop[] {
  return journey.legs.map((leg, i): Hop => {
    const at = seen[i];
    const isNext = i === last + 1 && outcome === "failed";
    const to = at?.to ? ` to ${at.to}` : "";
    return {
      name: legText(leg),
      outcome: at ? "passed" : isNext ? "stopped" : "unknown",
      evidence: at
        ? [`${at.packet.source} → ${at.packet.destination}, ${at.length} bytes${to}`]
        : [],
    };
  });
}
