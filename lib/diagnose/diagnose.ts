/**
 * From "my task can't reach the database" to the cause: questions by real packets; for one that
 * fails the packet is sent again and watched at every hop, and what stands at the place where it
 * was lost is read for the reason.
 */
import { OperatorError } from "../base/error.ts";
import { isAddress } from "../base/ip.ts";
import { inTime } from "../base/pace.ts";
import { readContainer } from "../containers/inventory.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, isProblem } from "../facts/cause.ts";
import {
  type Fact,
  type FactReader,
  OF_AGENT,
  OF_CONTAINER,
  OF_NETWORKS,
  readFacts,
} from "../facts/facts.ts";
import { nothing, saw } from "../facts/look.ts";
import { readGroups, stateOf } from "../facts/readers/container.ts";
import { Scene } from "../facts/scene.ts";
import { findInode } from "../kernel/proc.ts";
import { Sight } from "../netlink/sight.ts";
import { byChoice } from "./choice.ts";
import { type Evidence, evidenceOf } from "./evidence.ts";
import { askKernel, type Kernel } from "./observe/kernel.ts";
import { KnownRules } from "./observe/rules.ts";
import { Session } from "./observe/session.ts";
import { askForOwn, askNextHops, boundTo } from "./paths.ts";
import { agentQuestions } from "./questions/agent.ts";
import { knownClients } from "./questions/clients.ts";
import { Refusals } from "./observe/refusals.ts";
import { proxyQuestions, refusedQuestions, wantedQuestions } from "./questions/connection.ts";
import { dnsQuestions } from "./questions/dns.ts";
import { foundQuestions, gatewayQuestions } from "./questions/gateway.ts";
import { neighbourQuestions } from "./questions/neighbour.ts";
import { outsideQuestions } from "./questions/outside.ts";
import { portQuestions } from "./questions/ports.ts";
import {
  type Answer,
  answeredAfterAll,
  type Question,
  type Topic,
  unasked,
} from "./questions/question.ts";
import { sharedAddresses, sharedMacs } from "./readers/hardware.ts";
import { WAITING } from "./readers/listener.ts";
import { partialRules } from "./readers/partial.ts";
import { explain, notJudged, sentence } from "./readers/table.ts";
import type { Sighting } from "./observe/tap.ts";
import { trailOf } from "./place.ts";
import { readConnections } from "../facts/readers/connections.ts";
import { readQueues } from "../facts/readers/queues.ts";
import { resolverOf } from "../facts/readers/resolver.ts";
import { takeTokens, TRIES } from "./tokens.ts";
import { tryAll } from "./tries.ts";
import { unjudged } from "./unjudged.ts";
import { OWN_NAME } from "./names.ts";
import { mergeCauses, ofEchoAlone } from "./verdict.ts";

/** What was asked, and what came of it. */
export interface Asked extends Answer {
  topic: Topic;
  text: string;
}

export interface Diagnosis {
  name: string;
  /** Every question was answered, and nothing that was read is wrong. */
  healthy: boolean;
  asked: Asked[];
  /** Problems first, the cause of all before its consequences; then hints. */
  causes: Cause[];
}

export interface DiagnoseOptions {
  /** What was read of the agent, where it was read for several containers. */
  agentFacts?: readonly Fact[];
  /** Where the agent listens, if not on its own address and 5051. */
  agent?: { address: string; port: number };
  /** Whether nothing is asked of others: then only what can be read is judged. */
  passive?: boolean;
  /** Ports of listeners to which no request is sent. */
  noPayload?: readonly number[];
}

/** Of questions that are watched after they have failed. */
const MOST_WATCHED = 12;
/** Explaining is mostly waiting for answers of ARP: so long at first, and so long when it is tried again. */
const EXPLAINING_MS = [5000, 15_000] as const;

/**
 * Finds what is wrong with a container's network.
 *
 * @throws {OperatorError} for what can't be diagnosed at all, such as `host_network`; {@link ENDED}
 */
export async function diagnose(
  agent: Agent,
  target: Target,
  options: DiagnoseOptions = {},
): Promise<Diagnosis> {
  // The agent's own sight remembers handles that may be gone by now.
  const sight = new Sight(agent.sight.processes);
  const container = target.id && readContainer(agent.sources.layout, target.id, sight);
  const state = container ? stateOf(container) : [];
  if (container && !container.namespaceAlive) return verdict(target.name, [], state, []);
  requireAlive(target);
  const namespace = findInode(target.netns);
  using others = new DisposableStack();
  using scene = Scene.of(agent, target);
  const kernel = askKernel();
  const { passive } = options;
  using refusals = passive ? undefined : new Refusals(scene);
  const questions = passive ? [] : await questionsOf(agent, scene, options, kernel, others);
  const ofAgent = options.agentFacts ?? readFacts(OF_AGENT, agent);
  const isAlone = options.agentFacts === undefined && !passive;
  const [first, facts, shared, own, agents] = await Promise.all([
    passive ? { asked: UNASKED, causes: [] } : answer(scene, questions, kernel, ofAgent),
    readFacts([
      ...scene.container ? OF_CONTAINER : [],
      ...OF_ONE,
      ...scene.container && !passive ? [OWN_NAME] : [],
    ], scene),
    passive ? [] : readFacts([BY_ARP, WAITING], { scene, kernel }),
    isAlone ? askForOwn(agent, kernel) : [],
    ofAgent,
  ]);
  const refused = await refusedQuestions(agent, scene, others, refusals, questions);
  const more = await answer(scene, refused, kernel, agents);
  const [asked, causes] = [[...first.asked, ...more.asked], [...first.causes, ...more.causes]];
  // Last: an answer to a question by hand fills an entry of the kernel's that it could not fill itself.
  const hops = isAlone ? await askNextHops(agent, kernel) : [];
  if (findInode(target.netns) !== namespace) throw ended(target);
  const next = options.agentFacts ? [] : await factsOfNext(agent, scene);
  const read = [facts, shared, own, agents, hops, next, unjudged(scene)].flat();
  const found = verdict(target.name, asked, [...state, ...causes], read);
  // They concern the agent, and --all would say them of every container.
  const partial = found.healthy && isAlone ? await partialRules(scene) : [];
  // One that is named already has dropped probes of ours.
  const isNamed = (text?: string) => found.causes.some(({ rule }) => rule?.text === text);
  const rules = partial.filter(({ rule }) => !isNamed(rule?.text));
  return {
    ...found,
    healthy: found.healthy && !rules.some(isProblem),
    causes: mergeCauses(found.causes, rules),
  };
}

/** What the next container on its networks depends on: of others nobody has asked. */
async function factsOfNext(agent: Agent, { interfaces }: Scene): Promise<Fact[]> {
  const own = interfaces.flatMap(({ checkpoint }) => checkpoint?.network ?? []);
  return (await readFacts(OF_NETWORKS, agent)).flatMap((fact) => {
    const causes = fact.causes.filter(({ network }) =>
      network !== undefined && own.includes(network)
    );
    return causes.length > 0 ? [{ ...fact, causes }] : [];
  });
}

/** The code of the error that a container ended while it was asked, which is neither health nor a fault. */
export const ENDED = "container_ended";

function ended({ name, id }: Target): OperatorError {
  const seeHistory = id === undefined ? "" : `: what became of it tells mesos-cni history ${id}`;
  return new OperatorError(
    ENDED,
    `${name} has ended while it was asked, and nothing that was seen counts${seeHistory}`,
  );
}

/** What concerns the agent, and so all of its containers. */
export async function factsOfAgent(
  agent: Agent,
  passive?: boolean,
  kernel = askKernel(),
): Promise<Fact[]> {
  const [facts, hops] = await Promise.all([
    readFacts(OF_AGENT, agent),
    passive ? [] : Promise.all([askNextHops(agent, kernel), askForOwn(agent, kernel)]),
  ]);
  return [...facts, ...hops];
}

/** What packets alone tell. */
const UNASKED = [
  ["gateway", "reaches its gateways, and is found by the agent"],
  ["neighbour", "reaches its neighbours, and nobody else answers for its addresses"],
  ["outside", "reaches outside by the next hops of the agent's routes"],
  ["agent", "reaches the agent"],
  ["port", "its mapped ports are reached"],
  ["dns", "resolves names"],
].map(([topic, text]): Asked => ({
  topic: topic as Topic,
  text: text!,
  ...unasked("only a packet tells, and none was sent"),
}));

/** What is read of one container that is asked about, and not of each that is listed. */
const OF_ONE: readonly FactReader<Scene>[] = [
  { name: "no queue on its way slows it down", read: readQueues },
  { name: "its cgroups have room for what its programs need", read: readGroups },
  { name: "its connections are answered, and what comes is taken", read: readConnections },
];

const BY_ARP: FactReader<Pick<Evidence, "scene" | "kernel">> = {
  name: "nobody else answers for its addresses",
  async read(e) {
    const asked = e.scene.interfaces.filter(({ link }) => link?.flags.includes("UP"));
    return asked.length === 0 ? nothing("it has no link to ask by") : saw(
      `asked by ARP on ${asked.map(({ ifName }) => ifName).join(", ")}`,
      [...await sharedMacs(e.scene), ...await sharedAddresses(e)],
    );
  },
};

async function questionsOf(
  agent: Agent,
  scene: Scene,
  options: DiagnoseOptions,
  kernel: Kernel,
  others: DisposableStack,
): Promise<Question[]> {
  const resolver = resolverOf(scene);
  const servers = resolver.servers.filter(isAddress);
  const mayTalkTo = (port: number) => !options.noPayload?.includes(port);
  const known = options.agentFacts?.flatMap(({ causes }) => causes) ?? [];
  const all = [
    ...gatewayQuestions(scene),
    ...foundQuestions(scene),
    ...neighbourQuestions(agent, scene, others, mayTalkTo),
    ...await outsideQuestions(scene, servers, kernel),
    ...agentQuestions(scene, kernel, options.agent),
    ...portQuestions(scene, mayTalkTo, await clientsOf(scene, kernel, servers)),
    ...await proxyQuestions(agent, scene, others),
    ...await wantedQuestions(agent, scene, others, options.agentFacts === undefined),
    ...dnsQuestions(scene, resolver),
  ];
  return all.map((one) => asKnown(one, known));
}

/** Clients that are known, with what shows that one is to be answered by the link that he comes by. */
async function clientsOf(scene: Scene, kernel: Kernel, servers: readonly string[]) {
  return await Promise.all((await knownClients(scene, kernel)).map(async (one) => {
    const { address, asked } = one;
    const returns = asked && await boundTo(scene.host, kernel, asked.by, [address, ...servers]);
    return { ...one, returns };
  }));
}

/** One packet tells whether it is lost where it passes the agent, and that is known to lose all. */
export function asKnown(question: Question, known: readonly Cause[]): Question {
  const { from, to, legs } = question.journey;
  // A macvlan or ipvlan is on its wire, and no packet of its is forwarded by the agent.
  const isForwarded = [from, to].includes("outside") &&
    legs.some(({ stop }) => stop.place === "host-veth");
  return isForwarded && losesAll(known, question.family)
    ? { ...question, isAskedOnce: true }
    : question;
}

/** By this one the agent forwards nothing at all, whatever its rules would do. */
function losesAll(known: readonly Cause[], of: 4 | 6): Cause | undefined {
  return known.find(({ code, family }) => code === "forwarding_off" && family === of);
}

/** Asks everything at once; what fails is asked again and watched. */
export async function answer(
  scene: Scene,
  questions: readonly Question[],
  kernel: Kernel,
  ofAgent: readonly Fact[] | Promise<readonly Fact[]>,
): Promise<{ asked: Asked[]; causes: Cause[] }> {
  if (questions.length === 0) return { asked: [], causes: [] };
  const first = await askAll(questions, false);
  const asked = questions.map(({ topic, text }, i): Asked => ({
    topic: topic === "followed" ? "outside" : topic,
    text,
    ...first.tried[i]!.answer,
  }));
  const found = questions.map((question, i) => ({
    question,
    i,
    sightings: first.session.of(first.tried[i]!.token),
    token: first.tried[i]!.token,
  }));
  await first.session[Symbol.asyncDispose]();
  const hints = asked.flatMap((one) => one.hints ?? []);
  const failed = found.filter(({ i }) => asked[i]!.outcome === "failed");
  if (failed.length === 0) return { asked, causes: hints };
  const known = (await ofAgent).flatMap(({ causes }) => causes);
  const byAgent = failed.map((one) => agentsCause(known, one));
  const failing = failed.filter((_, n) => byAgent[n] === undefined);
  const already = byAgent.filter((one) => one !== undefined);
  if (failing.length === 0) return { asked, causes: [...already, ...hints] };
  const watched = failing.slice(0, MOST_WATCHED);
  const second = await askAll(watched.map(({ question }) => question), true);
  await using session = second.session;
  const rules = new KnownRules();
  const causes = await Promise.all(watched.map(async ({ question, i }, n) => {
    const { answer: again, token } = second.tried[n]!;
    const before = asked[i]!;
    asked[i] = again.outcome === "answered"
      ? { ...before, ...again, failure: before.failure, share: before.share }
      : { ...before, ...again };
    if (again.outcome !== "failed") return [];
    const evidence = evidenceOf(scene, question, again, token, session, rules, kernel);
    const isPassedElse = asked.some((one, k) =>
      one.outcome === "answered" && questions[k]!.protocol !== "icmp"
    );
    if (isPassedElse && isRefusedEcho(evidence)) {
      asked[i] = { ...before, ...unasked("its own firewall refuses echoes, and lets others pass") };
      return [];
    }
    const explained = await explainInTime(evidence);
    if (explained.length === 0) asked[i] = { ...before, ...answeredAfterAll(evidence.failure) };
    const answeredOnes = questions.filter((_, k) => asked[k]!.outcome === "answered");
    const echoes = ofEchoAlone(explained, question, answeredOnes);
    if (echoes) asked[i] = { ...before, ...unasked("echoes are dropped here: see the hint") };
    const chosen = echoes ?? await byChoice(explained, evidence);
    if (chosen && !echoes) {
      asked[i] = { ...before, ...unasked("a rule says who may come: see the hint") };
    }
    return chosen ?? explained;
  }));
  return { asked, causes: [...already, ...causes.flat(), ...hints] };
}

/** Rules of the container's own say EPERM. Where they let other packets out, it may be meant so. */
function isRefusedEcho({ question, failure }: Evidence): boolean {
  return question.protocol === "icmp" && failure.kind === "errno" && failure.errno === "EPERM";
}

/**
 * A question whose packet came as far as the agent, and not out of it again, is explained by a cause of
 * the agent's that was read: it is not traced for each container anew.
 */
function agentsCause(
  known: readonly Cause[],
  { question, sightings, token }: {
    question: Question;
    sightings: readonly Sighting[];
    token: number;
  },
): Cause | undefined {
  const { place, before, after } = trailOf(question.journey, sightings, token);
  const isThere = place === "agent" && before?.way === "there" && before.direction === "in" &&
    after?.way === "there" && question.journey.to !== "agent";
  // What the agent answers itself it was never to forward.
  const isAnswered = sightings.some(({ at, direction }) =>
    direction === "out" && at === before?.stop.name
  );
  const found = isThere && !isAnswered ? losesAll(known, question.family) : undefined;
  return found && { ...found, seen: [...found.seen, `asked: ${sentence(question)}`] };
}

/** What has not come to an end by then is tried again, and then said to be so. */
async function explainInTime(evidence: Evidence): Promise<Cause[]> {
  for (const ms of EXPLAINING_MS) {
    const causes = await inTime(ms, explain(evidence));
    if (causes) return causes;
  }
  return [notJudged(evidence, "no_time")];
}

async function askAll(questions: readonly Question[], deep: boolean) {
  const tokens = takeTokens(questions.length * TRIES);
  const session = await Session.open(tokens, questions, deep);
  const ask = (question: Question, i: number) =>
    tryAll(question, (nth) => tokens.first + i * TRIES + nth, session);
  const first = await Promise.all(questions.map(ask));
  session.drain();
  const tried = await Promise.all(
    first.map((one, i) =>
      deep && isGivenUp(questions[i]!, one.answer, session) ? ask(questions[i]!, i) : one
    ),
  );
  await session.finish();
  return { session, tried };
}

/**
 * The kernel has given up to ask for a neighbour whom it had begun to ask for before anybody watched. From
 * then on the next packet has it ask anew (NUD_FAILED in net/core/neighbour.c).
 */
export function isGivenUp(
  { neighbours }: Question,
  { failure }: Answer,
  session: Session,
): boolean {
  return failure?.kind === "errno" && failure.errno === "EHOSTUNREACH" &&
    neighbours.length > 0 && neighbours.every((address) => session.about(address).length === 0);
}

/** @param explained what was read first, and what questions told @param facts what only facts told */
function verdict(
  name: string,
  asked: readonly Asked[],
  explained: readonly Cause[],
  facts: readonly Fact[],
): Diagnosis {
  const causes = mergeCauses(explained, facts.flatMap((fact) => fact.causes));
  // What there is nothing of is no question, as the gateway of a network without one.
  const read = facts.filter(({ saw, isBlind }) => saw !== undefined || isBlind === true);
  const all = [...asked, ...read.map(askedOf)];
  return {
    name,
    healthy: all.length > 0 && !causes.some(isProblem) &&
      all.every(({ outcome }) => outcome !== "failed"),
    asked: all,
    causes,
  };
}

/** A fact as an answer. */
export function askedOf({ name, saw, unread, causes }: Fact): Asked {
  const outcome = causes.some(isProblem) ? "failed" : saw === undefined ? "unasked" : "answered";
  return { topic: "state", text: name, outcome, detail: saw ?? unread ?? "" };
}
