/** An agent and all of its containers: what concerns the agent once, then causes with who has them. */
import { OperatorError } from "../base/error.ts";
import { reasonOf } from "../base/log.ts";
import type { Container } from "../containers/inventory.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, isProblem } from "../facts/cause.ts";
import { OF_MACHINE, readFacts } from "../facts/facts.ts";
import { textOf } from "../facts/sentences.ts";
import { getHostname } from "../kernel/uts.ts";
import {
  type Asked,
  diagnose,
  type DiagnoseOptions,
  type Diagnosis,
  ENDED,
  factsOfAgent,
} from "./diagnose.ts";

/** They wait more than they work. */
const AT_A_TIME = 25;
const AT_A_TIME_IN_HASTE = 5;

export const TOPICS = ["gateway", "neighbour", "outside", "dns", "agent", "port", "state"] as const;

/** One container's diagnosis, or why there is none. */
export interface Row {
  id: string;
  diagnosis?: Diagnosis;
  /** Such as: it uses the agent's own network. */
  skipped?: string;
  /** Why it could not be asked: which is no health. */
  error?: string;
}

/** A cause with all whose first cause it is. */
export interface Group {
  cause: Cause;
  ids: string[];
  /** Whether it was read of the agent itself. */
  isAgents: boolean;
}

export interface AgentDiagnosis {
  agent: string;
  /** When it was asked, as RFC 3339 has it. */
  time: string;
  healthy: boolean;
  groups: Group[];
  rows: Row[];
}

export interface AllOptions {
  /** Those that are meant. */
  containers?: readonly Container[];
  /** How long, in ms, answers are waited for. */
  patience?: number;
}

/**
 * Diagnoses every container with a network of its own.
 *
 * @param progress told after each
 */
export async function diagnoseAll(
  agent: Agent,
  options: DiagnoseOptions,
  progress: (done: number, all: number) => void = () => {},
  { containers = agent.containers, patience }: AllOptions = {},
): Promise<AgentDiagnosis> {
  const time = new Date().toISOString();
  const [agentFacts, machine] = await Promise.all([
    factsOfAgent(agent, options.passive),
    readFacts(OF_MACHINE, agent),
  ]);
  const rows: Row[] = [];
  const waiting = [...containers.entries()];
  let done = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, { id, netns, mode }] = next;
      rows[i] = mode === "own"
        ? await rowOf(
          id,
          () => diagnose(agent, { name: id, netns, id }, { ...options, agentFacts }),
        )
        : {
          id,
          skipped: mode === "host"
            ? "it uses the agent's own network"
            : "it uses its parent's network",
        };
      progress(++done, containers.length);
    }
  };
  // Of few at a time, some have answered when it is over.
  const length = patience === undefined ? AT_A_TIME : AT_A_TIME_IN_HASTE;
  await within(patience, Promise.all(Array.from({ length }, work)));
  for (const [i, { id }] of containers.entries()) {
    rows[i] ??= { id, error: "there was no time left for it" };
  }
  const ofAgent = [...agentFacts, ...machine].flatMap(({ causes }) => causes).filter(isProblem);
  return {
    agent: getHostname(),
    time,
    healthy: ofAgent.length === 0 && rows.every(isHealthy),
    groups: groupsOf(ofAgent, rows),
    rows,
  };
}

/** Waits for work, at most for so long. */
async function within(ms: number | undefined, work: Promise<unknown>): Promise<void> {
  let timer: number | undefined;
  const late = new Promise((resolve) => {
    if (ms !== undefined) timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

async function rowOf(id: string, ask: () => Promise<Diagnosis>): Promise<Row> {
  try {
    return { id, diagnosis: await ask() };
  } catch (error) {
    return error instanceof OperatorError && error.code === ENDED
      ? { id, skipped: "it has ended meanwhile" }
      : { id, error: reasonOf(error) };
  }
}

/** What could not be asked because of an error is not. */
export function isHealthy({ diagnosis, error, skipped }: Row): boolean {
  return error === undefined && (skipped !== undefined || diagnosis?.healthy === true);
}

/** What concerns the agent first, then what most have. */
export function groupsOf(ofAgent: readonly Cause[], rows: readonly Row[]): Group[] {
  const keyOf = (cause: Cause) =>
    cause.container === undefined
      ? `${cause.code}\t${textOf(cause)}`
      : `${cause.code}\t${cause.place}\t${cause.network ?? ""}`;
  const groups = new Map<string, Group>(
    ofAgent.map((cause) => [keyOf(cause), { cause, ids: [], isAgents: true }]),
  );
  for (const { id, diagnosis } of rows) {
    const cause = diagnosis?.causes.find(isProblem);
    if (!cause) continue;
    const known = groups.get(keyOf(cause));
    if (known) known.ids.push(id);
    else groups.set(keyOf(cause), { cause, ids: [id], isAgents: false });
  }
  return [...groups.values()].toSorted((a, b) =>
    Number(b.isAgents) - Number(a.isAgents) || b.ids.length - a.ids.length
  );
}

/** What came of all questions of a topic: the worst of it; undefined where there was none. */
export function outcomeOf(
  { asked }: Diagnosis,
  topic: (typeof TOPICS)[number],
): Asked["outcome"] | undefined {
  const outcomes = asked.filter((one) => one.topic === topic).map(({ outcome }) => outcome);
  return (["failed", "answered", "unasked"] as const).find((one) => outcomes.includes(one));
}
