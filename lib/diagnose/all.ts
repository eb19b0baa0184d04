/** An agent and all of its containers: what concerns the agent once, then causes with who has them. */
import { OperatorError } from "../base/error.ts";
import { reasonOf } from "../base/log.ts";
import { inTime } from "../base/pace.ts";
import { targetOf } from "../containers/target.ts";
import type { Container } from "../containers/inventory.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, isProblem } from "../facts/cause.ts";
import { type Fact, OF_MACHINE, readFacts } from "../facts/facts.ts";
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
import { TOPICS } from "./questions/question.ts";

/** They wait more than they work. */
const AT_A_TIME = 25;
const AT_A_TIME_IN_HASTE = 5;

/** One container's diagnosis, or why there is none. */
export interface Row {
  id: string;
  diagnosis?: Diagnosis;
  /** Such as: it uses the agent's own network. */
  skipped?: string;
  /** Why it could not be asked: which is no health. With a diagnosis, that is of what was read alone. */
  error?: string;
}

const LATE = "no time was left for packets";

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
  { containers = agent.containers, patience = Infinity }: AllOptions = {},
): Promise<AgentDiagnosis> {
  const time = new Date().toISOString();
  const end = performance.now() + patience;
  const [agentFacts, machine] = await Promise.all([
    factsOfAgent(agent, options.passive),
    readFacts(OF_MACHINE, agent),
  ]);
  const rows = containers.map(({ id, mode }): Row => ({
    id,
    ...mode === "own"
      ? { error: LATE }
      : { skipped: `it uses ${mode === "host" ? "the agent's own" : "its parent's"} network` },
  }));
  const own = [...rows.keys()].filter((i) => containers[i]!.mode === "own");
  const ask = (i: number, passive = options.passive) => {
    const { id } = containers[i]!;
    return rowOf(
      id,
      () => diagnose(agent, targetOf(containers[i]!), { ...options, passive, agentFacts }),
    );
  };
  let waiting = own;
  if (patience < Infinity) {
    for (const i of own) {
      if (performance.now() > end) break;
      const read = await ask(i, true);
      rows[i] = read.diagnosis ? { ...read, error: LATE } : read;
    }
    waiting = inHaste(own.filter((i) => rows[i]!.error === LATE), rows, agentFacts);
  }
  let done = rows.length - waiting.length;
  const work = async () => {
    for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
      const row = await ask(i);
      // What was read stands where packets could not be sent.
      rows[i] = row.error === undefined ? row : { ...rows[i], ...row };
      progress(++done, rows.length);
    }
  };
  const length = patience < Infinity ? AT_A_TIME_IN_HASTE : AT_A_TIME;
  await inTime(end - performance.now(), Promise.all(Array.from({ length }, work)));
  const ofAgent = [...agentFacts, ...machine].flatMap(({ causes }) => causes).filter(isProblem);
  return {
    agent: getHostname(),
    time,
    healthy: ofAgent.length === 0 && rows.every(isHealthy),
    groups: groupsOf(ofAgent, rows),
    rows,
  };
}

/**
 * In which order containers are asked, if there may not be time for all: one with each cause that was
 * read, then those of which nothing was, whose cause only a packet tells, then the others.
 */
export function inHaste(
  all: readonly number[],
  rows: readonly Row[],
  agentFacts: readonly Fact[],
): number[] {
  const seen = new Set<string>();
  const ofAgent = new Set(agentFacts.flatMap(({ causes }) => causes.map(keyOf)));
  const rank = (i: number) => {
    const cause = rows[i]!.diagnosis?.causes
      .find((one) => isProblem(one) && !ofAgent.has(keyOf(one)));
    if (!cause) return 1;
    const isNew = !seen.has(keyOf(cause));
    seen.add(keyOf(cause));
    return isNew ? 0 : 2;
  };
  const ranks = new Map(all.map((i) => [i, rank(i)]));
  return all.toSorted((a, b) => ranks.get(a)! - ranks.get(b)!);
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

/** What is the same for containers with the same cause. */
function keyOf(cause: Cause): string {
  return cause.container === undefined
    ? `${cause.code}\t${textOf(cause)}`
    : `${cause.code}\t${cause.place}\t${cause.network ?? ""}`;
}

/** For whom no time was left, as a sentence. */
export function unaskedText(rows: readonly Row[]): string | undefined {
  const ids = rows.filter(({ error }) => error === LATE).map(({ id }) => id);
  return ids.length === 0
    ? undefined
    : `${LATE}, and at most what can be read was judged, of: ${ids.join(", ")}`;
}

/** What concerns the agent first, then what most have. */
export function groupsOf(ofAgent: readonly Cause[], rows: readonly Row[]): Group[] {
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

/** Of each topic, what came of all its questions: the worst of it; undefined where there was none. */
export function outcomesOf({ diagnosis }: Row): (Asked["outcome"] | undefined)[] {
  return TOPICS.map((topic) => {
    const asked = diagnosis?.asked.filter((one) => one.topic === topic);
    return (["failed", "answered", "unasked"] as const).find((worst) =>
      asked?.some(({ outcome }) => outcome === worst)
    );
  });
}

/** What a row comes to: its cause, or why there is none. */
export function sumOf({ diagnosis, skipped, error }: Row, tell: (cause: Cause) => string): string {
  const cause = diagnosis?.causes.find(isProblem);
  return cause ? tell(cause) : skipped ?? error ?? "healthy";
}
