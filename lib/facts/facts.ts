/**
 * All that can be read of an agent and its containers without sending a packet: the tables of
 * readers, which `list`, `status`, `topology`, `network show`, metrics and `diagnose` share.
 */
import { OperatorError } from "../base/error.ts";
import { reasonOf } from "../base/log.ts";
import type { Container } from "../containers/inventory.ts";
import { Agent } from "./agent.ts";
import { type Cause, cause, isProblem } from "./cause.ts";
import { blind, type Look } from "./look.ts";
import { readAddresses } from "./readers/address.ts";
import {
  readAddressRanges,
  readConfigs,
  readConntrack,
  readDisk,
  readForwarding,
  readMesosAgent,
  readPluginDirectory,
  readUplinks,
} from "./readers/agent.ts";
import { readBridges } from "./readers/bridge.ts";
import { stateOf } from "./readers/container.ts";
import { readForwardPolicy } from "./readers/firewall.ts";
import { readLeases, readReadable, readResolvConf } from "./readers/files.ts";
import { readAgentsLimits, readOwnLimits } from "./readers/limits.ts";
import { readLinks } from "./readers/link.ts";
import {
  readLeftPorts,
  readOtherDirectories,
  readPluginRules,
  readPorts,
} from "./readers/ports.ts";
import { readResolver } from "./readers/resolver.ts";
import { readRoutes } from "./readers/route.ts";
import { isGateway, Scene } from "./scene.ts";

/** What is read, as a sentence with the container or the agent as its subject. */
export interface FactReader<Subject> {
  name: string;
  read(subject: Subject): Look | Promise<Look>;
}

export const OF_CONTAINER: readonly FactReader<Scene>[] = [
  { name: "its interfaces are up, and their other ends", read: readLinks },
  { name: "its interfaces are on their bridges", read: readBridges },
  { name: "its addresses are those that it was given, and nobody else's", read: readAddresses },
  { name: "its routes are those that it was given", read: readRoutes },
  { name: "its ports have their rules, and no process of the agent has them", read: readPorts },
  { name: "the rules of its other plugins are there", read: readPluginRules },
  { name: "its resolv.conf is the one that was made for it", read: readResolvConf },
  { name: "its resolver's configuration leads to a server", read: readResolver },
  { name: "its programs may read what they resolve names by", read: readReadable },
  { name: "its leases are its own", read: readLeases },
  { name: "it keeps the pieces of packets, and has ports to connect from", read: readOwnLimits },
];

/** Of the agent, what its containers' packets depend on. */
export const OF_AGENT: readonly FactReader<Agent>[] = [
  { name: "the agent forwards what containers send", read: readForwarding },
  { name: "the agent's filter lets through what containers send", read: readForwardPolicy },
  { name: "the agent's way out is up", read: readUplinks },
  { name: "the agent's table of connections has room", read: readConntrack },
  { name: "the agent keeps connections and pieces of packets long enough", read: readAgentsLimits },
];

/** Of networks, what the next container on one depends on. */
export const OF_NETWORKS: readonly FactReader<Agent>[] = [
  { name: "the plugins of its networks are there", read: readPluginDirectory },
  { name: "its networks have free addresses", read: readAddressRanges },
];

/** Of the agent, what the next container depends on. */
export const OF_MACHINE: readonly FactReader<Agent>[] = [
  { name: "the Mesos agent runs", read: readMesosAgent },
  { name: "the configs of its networks have no errors", read: readConfigs },
  ...OF_NETWORKS,
  { name: "its disk has room for checkpoints", read: readDisk },
  { name: "no port leads to a container that is gone", read: readLeftPorts },
  { name: "all containers are in the directory that is looked into", read: readOtherDirectories },
];

/** What one reader said. */
export interface Fact extends Look {
  name: string;
}

/** Asks all readers of a table. */
export function readFacts<S>(table: readonly FactReader<S>[], subject: S): Promise<Fact[]> {
  return Promise.all(
    table.map(async ({ name, read }) => ({ name, ...await looked(read, subject) })),
  );
}

/** A refusal, of the kernel or of a program, is no health. */
async function looked<S>(read: FactReader<S>["read"], subject: S): Promise<Look> {
  try {
    return await read(subject);
  } catch (error) {
    if (error instanceof OperatorError) return blind(error.message);
    throw error;
  }
}

/** What is known of a container without a packet. */
export interface Health {
  /** What is wrong, the worst first; hints behind. */
  causes: readonly Cause[];
  /** What could not be read, and why. */
  unread: readonly string[];
}

export function isHealthy({ causes }: Health): boolean {
  return !causes.some(isProblem);
}

/** Reads the agent itself. */
export async function agentHealth(agent: Agent): Promise<Health> {
  const facts = await Promise.all([OF_AGENT, OF_MACHINE].map((table) => readFacts(table, agent)));
  return healthIn(facts.flat(), []);
}

/** Reads one container. */
export async function healthOf(agent: Agent, container: Container): Promise<Health> {
  const { id, netns, mode, namespaceAlive } = container;
  const state = stateOf(container);
  // What has not ended its attachment has no addresses and rules to be judged by yet.
  if (mode !== "own" || !namespaceAlive || state.some(isUnfinished)) {
    return { causes: state, unread: [] };
  }
  try {
    using scene = Scene.in(agent, { name: id, netns }, container);
    return healthIn(await readFacts(OF_CONTAINER, scene), state);
  } catch (error) {
    // It may end while we look; else nobody may look into it.
    if (!(error instanceof OperatorError)) throw error;
    const unreadable = cause("namespace_unreadable", ["state", "container"], {
      container: id,
      why: reasonOf(error),
    });
    return { causes: [...state, unreadable], unread: [] };
  }
}

function isUnfinished({ code }: Cause): boolean {
  return code === "attach_unfinished" || code === "checkpoint_empty";
}

/**
 * Reads all containers, one after the other. Of those that are found ill, what counts is a second reading
 * of the agent: they may have been attached or detached since it was read, or be gone.
 */
export async function* healthOfEach(agent: Agent): AsyncGenerator<[Container, Health]> {
  const { sources } = agent;
  let again: Agent | undefined;
  try {
    for (const container of agent.containers) {
      const health = await healthOf(agent, container);
      if (isHealthy(health)) {
        yield [container, health];
        continue;
      }
      again ??= await Agent.read(sources);
      const now = again.containers.find(({ id }) => id === container.id);
      if (!now) continue;
      const healthNow = await healthOf(again, now);
      if (sources.layout.has(now.id)) yield [now, healthNow];
    }
  } finally {
    again?.[Symbol.dispose]();
  }
}

/** Reads all containers, with what of the agent their packets depend on. */
export async function healthOfAll(agent: Agent): Promise<[Container, Health][]> {
  const own = (await readFacts(OF_AGENT, agent)).flatMap(({ causes }) => causes);
  const all: [Container, Health][] = [];
  for await (const [container, health] of healthOfEach(agent)) {
    const causes = isRouted(container) ? [...health.causes, ...own] : health.causes;
    all.push([container, { ...health, causes: sorted(causes) }]);
  }
  return all;
}

function isRouted({ namespaceAlive, attachments }: Container): boolean {
  return namespaceAlive && attachments.some(isGateway);
}

function healthIn(facts: readonly Fact[], state: readonly Cause[]): Health {
  return {
    causes: sorted([...state, ...facts.flatMap(({ causes }) => causes)]),
    unread: facts.flatMap(({ name, isBlind, unread }) => isBlind ? [`${name}: ${unread}`] : []),
  };
}

function sorted(all: readonly Cause[]): Cause[] {
  return [...all.filter(isProblem), ...all.filter((one) => !isProblem(one))];
}
