/** Does a connection, a datagram or an echo of the container's reach one address; and its proxies, of which it is told. */
import { inTime } from "../../base/pace.ts";
import { unlessRefused } from "../../base/unless.ts";
import { canonicalAddress, familyOfKnown, isAddress, isLoopback } from "../../base/ip.ts";
import type { Agent } from "../../facts/agent.ts";
import { hint } from "../../facts/cause.ts";
import { Scene } from "../../facts/scene.ts";
import { processName } from "../../containers/processes.ts";
import { readProcFile } from "../../kernel/files.ts";
import { unanswered } from "../../facts/readers/connections.ts";
import { flowsFrom } from "../../nft/conntrack.ts";
import { type Destination, endpoint, ledTo, ofAddress } from "../destination.ts";
import { isRefusal } from "../failure.ts";
import { between, endsOf, hairpin, journey, wayTo } from "../journey.ts";
import { resolveAsPrograms } from "../names.ts";
import type { Refusals } from "../observe/refusals.ts";
import { tryDatagram } from "../packets/connect.ts";
import { tryEcho } from "../packets/echo.ts";
import { isToken } from "../tokens.ts";
import { isMeantOutside } from "./outside.ts";
import { askListener, isUnread, type MayTalkTo } from "./listener.ts";
import {
  type Answer,
  answered,
  askedForBy,
  attachedTo,
  failed,
  failedBy,
  type Question,
  unasked,
} from "./question.ts";

export async function connectionQuestion(
  agent: Agent,
  scene: Scene,
  destination: Destination,
  mayTalkTo: MayTalkTo,
  opened: DisposableStack,
): Promise<Question> {
  const { address, port, protocol, container } = destination;
  const attached = attachedTo(scene, address);
  const ends = attached && endsOf(scene, attached);
  const mapped = container ? undefined : await ledTo(agent, destination);
  const far = container ?? mapped?.target;
  // What a container asks of itself leaves by no link.
  const isOwn = isLoopback(address) || scene.inside.ownerOf(address) !== undefined;
  // By a port of the agent's that leads back to it.
  const isLedBack = mapped !== undefined && mapped.target.id === scene.container?.id;
  const theirs = isOwn || isLedBack ? scene : far && opened.use(Scene.of(agent, far));
  const their =
    theirs?.interfaces.find(({ expected }) =>
      container === undefined || expected.some((one) => one.address === address)
    ) ?? theirs?.interfaces[0];
  const farEnds = theirs && their && endsOf(theirs, their, "neighbour");
  const path = isOwn
    ? journey("container", "container", [])
    : !ends
    ? journey("container", "outside", [])
    : isLedBack
    ? hairpin(ends)
    : farEnds
    ? between(ends, farEnds)
    : wayTo(scene, ends, address);
  return {
    topic: "followed",
    text: `reaches ${endpoint(destination)}`,
    family: address.includes(":") ? 6 : 4,
    journey: path,
    protocol,
    destination: address,
    port,
    realDestination: mapped?.address,
    realPort: mapped?.port,
    far: theirs && their && { scene: theirs, attached: their },
    neighbours: askedForBy(scene, attached, address),
    async ask(token, session, nth) {
      if (protocol === "icmp") {
        const failure = await tryEcho(scene.task, address, token);
        return failure ? failed(failure) : answered("it answers an echo");
      }
      if (protocol === "udp") {
        const outcome = await tryDatagram({ ...scene.task, address, port, token });
        if (outcome === "answered") return answered("an answer came");
        const arrived = container !== undefined &&
          session.at(path, token, "there", -1).length > 0;
        if (arrived && theirs && await isUnread(theirs.inside, port, session)) {
          return failed({ kind: "unread" });
        }
        return outcome === "no answer" && arrived
          ? answered("it arrived; nothing answered, as UDP need not")
          : failedBy(outcome);
      }
      const at = theirs && { space: theirs.inside, port: mapped?.port ?? port };
      const listening = { at, journey: path, payload: mayTalkTo(port) };
      return await askListener({ ...scene.task, address, port, token }, listening, session, nth);
    },
  };
}

/** Of what its task has asked in vain: connections that are looked at, and destinations that are asked again. */
const MOST_FLOWS = 1000;
const MOST_WANTED = 4;

/**
 * Where its task has sent something by TCP and had no answer: now, or within the two minutes that are tracked.
 *
 * @param isAlone whether for this container alone the kernel may walk its table of connections
 */
function askedInVain(scene: Scene, isAlone: boolean): Destination[] {
  const now = unanswered(scene.inside)
    .map(({ remoteAddress, remotePort, localPort }) =>
      [remoteAddress, remotePort, localPort] as const
    );
  const tracked = (isAlone ? scene.interfaces : []).flatMap(({ expected }) => expected).flatMap((
    { address },
  ) => unlessRefused(() => flowsFrom(address, MOST_FLOWS)) ?? []).filter(({ isAnswered }) =>
    !isAnswered
  )
    .map(({ destination, port, sourcePort }) => [destination, port, sourcePort ?? 0] as const);
  // Of names there are questions of their own.
  const all = [...now, ...tracked].filter(([, port, from]) => !isToken(from) && port !== 53)
    .map(([address, port]) => ofAddress(scene, address, port, "tcp"));
  return [...new Map(all.map((one) => [endpoint(one), one])).values()].slice(0, MOST_WANTED);
}

/** The same asked again, as by its task, without a request. */
export async function wantedQuestions(
  agent: Agent,
  scene: Scene,
  opened: DisposableStack,
  isAlone: boolean,
): Promise<Question[]> {
  return await Promise.all(
    askedInVain(scene, isAlone).map(async (at): Promise<Question> => {
      const question = await connectionQuestion(agent, scene, at, () => false, opened);
      const text = `reaches ${endpoint(at)}, where its task had no answer`;
      const ask: Question["ask"] = async (...by) => {
        const answer = await question.ask(...by);
        const isRefused = answer.failure !== undefined && isRefusal(answer.failure);
        return isRefused ? unasked("by now it is refused there") : answer;
      };
      return { ...question, text, ask };
    }),
  );
}

/** Where its task was refused while the questions were asked, perhaps since one of them had it ask. */
export async function refusedQuestions(
  agent: Agent,
  scene: Scene,
  opened: DisposableStack,
  refusals: Refusals | undefined,
  asked: readonly Question[],
): Promise<Question[]> {
  const isAsked = (address: string, port: number) =>
    asked.some((one) =>
      one.destination === address && one.port === port ||
      one.realDestination === address && one.realPort === port
    );
  return await Promise.all((refusals?.seen(isAsked) ?? []).map(async ({ address, port }) => {
    const at = ofAddress(scene, address, port, "tcp");
    const question = await connectionQuestion(agent, scene, at, () => false, opened);
    return { ...question, text: `reaches ${endpoint(at)}, which has refused its task` };
  }));
}

/** Processes of a container whose variables are read, the bytes of each, and proxies of theirs that are asked. */
const MOST_PROCESSES = 16;
const MOST_BYTES = 128 << 10;
const MOST_PROXIES = 4;
const NAMED_MS = 3000;

/** A proxy that programs are told to ask, and by which variable; never who they say they are. */
export interface Proxy {
  variable: string;
  host: string;
  port: number;
}

/** Whoever writes it may make it any text: none of it is tried more than a few times over. */
const PROXY =
  /(?<=^|\0)((?:https?|all|ftp)_proxy)=(?:[a-z0-9+.-]+:\/\/)?(?:[^/\0]*@)?(\[[^\]@\0]+\]|[^@:/\s[\]\0]+):(\d{1,5})(?=[/\0])/gi;

/** @param environment as the kernel has it. A proxy without a port is asked at another by each program. */
export function proxiesIn(environment: string): Proxy[] {
  return environment.matchAll(PROXY).flatMap(([, variable, host, port]) =>
    Number(port) > 0 && Number(port) <= 65535
      ? [{ variable: variable!, host: host!.replace(/^\[|\]$/g, ""), port: Number(port) }]
      : []
  ).toArray();
}

/** Executors of Mesos, and what they start tasks by, have what the agent had, and ask no proxy. */
const NO_TASK = /^mesos-/;

/** What nobody offers inside is a variable that came with others of the agent's, where it is right. */
export function ofOwn(answer: Answer, at: Destination, setting: string): Answer {
  const { address, port } = at;
  if (!isLoopback(address) || !answer.failure || !isRefusal(answer.failure)) return answer;
  const about = { address, port: `${port}/tcp`, setting };
  const found = hint("nobody_listens", ["listener", "container"], about);
  return { ...unasked("nothing listens there"), hints: [found] };
}

/** What a container on a closed network was told as all others were. */
function isLeftOut(scene: Scene, address: string): boolean {
  return typeof scene.inside.routeTo(address) === "string" &&
    !scene.interfaces.some((one) => isMeantOutside(scene, one, familyOfKnown(address)));
}

/** The proxies that variables of the container's processes name: who asks by one needs it. */
export async function proxyQuestions(
  agent: Agent,
  scene: Scene,
  opened: DisposableStack,
): Promise<Question[]> {
  const tasks = scene.processes.filter((pid) => !NO_TASK.test(processName(pid) ?? ""));
  const found = tasks.slice(0, MOST_PROCESSES).flatMap((pid) =>
    proxiesIn(unlessRefused(() => readProcFile(`/proc/${pid}/environ`, MOST_BYTES)) ?? "")
  );
  const each = [...new Map(found.map((one) => [`${one.host} ${one.port}`, one])).values()];
  const all = await Promise.all(
    each.slice(0, MOST_PROXIES).map(async ({ variable, host, port }) => {
      const [address] = isAddress(host)
        ? [canonicalAddress(host)]
        : (await inTime(NAMED_MS, resolveAsPrograms(scene, host)))?.addresses ?? [];
      if (address === undefined || isLeftOut(scene, address)) return [];
      const at = ofAddress(scene, address, port, "tcp");
      const text = `reaches its proxy ${endpoint(at)}, which ${variable} of its processes names`;
      const question = await connectionQuestion(agent, scene, at, () => false, opened);
      const ask: Question["ask"] = async (...by) => ofOwn(await question.ask(...by), at, variable);
      return [{ ...question, text, variable, ask }];
    }),
  );
  return all.flat();
}
