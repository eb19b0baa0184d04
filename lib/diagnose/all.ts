/** All containers of an agent, diagnosed a few at a time: which question fails where. */
import { reasonOf } from "../base/log.ts";
import type { Layout } from "../containers/layout.ts";
import { getHostname } from "../kernel/uts.ts";
import { readContainers } from "../containers/inventory.ts";
import { plain, table } from "../netns/table.ts";
import { type Asked, diagnose, type DiagnoseOptions, type Diagnosis } from "./diagnose.ts";

/** They wait more than they work. */
const AT_A_TIME = 16;

export const TOPICS = ["gateway", "neighbour", "outside", "dns", "agent", "port", "state"] as const;

/** One container's diagnosis, or why there is none. */
export interface Row {
  id: string;
  diagnosis?: Diagnosis;
  /** Such as: it uses the agent's own network. */
  skipped?: string;
}

export interface AgentDiagnosis {
  agent: string;
  /** When it was asked, as RFC 3339 has it. */
  time: string;
  healthy: boolean;
  rows: Row[];
}

/** Diagnoses every container with a network of its own. */
export async function diagnoseAll(
  layout: Layout,
  options: DiagnoseOptions,
): Promise<AgentDiagnosis> {
  const time = new Date().toISOString();
  const containers = readContainers(layout);
  const rows: Row[] = [];
  const waiting = [...containers.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, { id, netns, mode }] = next;
      if (mode !== "own") {
        rows[i] = {
          id,
          skipped: mode === "host"
            ? "it uses the agent's own network"
            : "it uses its parent's network",
        };
        continue;
      }
      try {
        rows[i] = { id, diagnosis: await diagnose(layout, { name: id, netns, id }, options) };
      } catch (error) {
        // A container may end while the others are asked.
        rows[i] = { id, skipped: reasonOf(error) };
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return {
    agent: getHostname(),
    time,
    healthy: rows.every(({ diagnosis }) => diagnosis === undefined || diagnosis.healthy),
    rows,
  };
}

/** What came of all questions of a topic: the worst of it; undefined where there was none. */
export function outcomeOf(
  { asked }: Diagnosis,
  topic: (typeof TOPICS)[number],
): Asked["outcome"] | undefined {
  const outcomes = asked.filter((one) => one.topic === topic).map(({ outcome }) => outcome);
  return (["failed", "answered", "unasked"] as const).find((one) => outcomes.includes(one));
}

const MARKS: Readonly<Record<Asked["outcome"], string>> = {
  answered: "✓",
  failed: "✗",
  unasked: "–",
};

/** The matrix for a terminal, and the causes below it. */
export function matrixText({ rows }: AgentDiagnosis, strong: (text: string) => string): string {
  if (rows.length === 0) return "no containers";
  const lines = rows.map(({ id, diagnosis, skipped }) => [
    id,
    ...TOPICS.map((topic) => {
      const outcome = diagnosis && outcomeOf(diagnosis, topic);
      return outcome === undefined ? "" : MARKS[outcome];
    }),
    plain(
      skipped ?? diagnosis!.findings.find(({ level }) => level === "problem")?.code ?? "healthy",
    ),
  ]);
  const headings = ["ID", ...TOPICS.map((topic) => topic.toUpperCase()), "CAUSE"];
  const causes = rows.flatMap(({ id, diagnosis }) => {
    const cause = diagnosis?.findings.find(({ level }) => level === "problem");
    return cause
      ? [`${strong(plain(id))}: ${plain(cause.text)}\n  do      ${plain(cause.remedy)}`]
      : [];
  });
  return [table(headings, lines), "✓ answered   ✗ failed   – could not be asked", ...causes].join(
    "\n\n",
  );
}
