/** The diagnosis of an agent as one HTML file that loads nothing from elsewhere: its text, with the matrix as a table. */
import { textOf } from "../../facts/sentences.ts";
import type { Topology } from "../../netns/topology.ts";
import { treeText } from "../../netns/topology_text.ts";
import { type AgentDiagnosis, outcomesOf, type Row, sumOf, unaskedText } from "../all.ts";
import { TOPICS } from "../questions/question.ts";
import { html, page } from "./page.ts";
import { causeTexts, diagnosisText, MARKS } from "./text.ts";

const TONES = { answered: "good", failed: "bad", unasked: "none" } as const;
const asIs = (text: string) => text;

/** @param topology with what of each container can be read */
export function reportHtml(all: AgentDiagnosis, topology: Topology): string {
  const { agent, time, healthy, groups, rows } = all;
  const ill = rows.filter(({ diagnosis, error }) => diagnosis ? !diagnosis.healthy : error).length;
  const unasked = unaskedText(rows);
  return page(`Networks of ${agent}`, [
    `<h1>Container networks of ${html(agent)}</h1>`,
    `<p class="dim">mesos-cni netns diagnose --all, ${html(time)}</p>`,
    `<p class="${healthy ? "good" : "bad"}">${rows.length} containers, ${
      healthy ? "no problem found" : `${ill} with problems`
    }</p>`,
    ...unasked ? [`<p class="bad">${html(unasked)}</p>`] : [],
    ...groups.length > 0 ? ["<h2>Causes</h2>"] : [],
    ...causeTexts(all, asIs).map((text) => `<pre class="finding">${html(text)}</pre>`),
    "<h2>Topology</h2>",
    `<pre>${html(treeText(topology))}</pre>`,
    "<h2>Questions</h2>",
    matrix(rows),
    '<p class="dim">✓ answered &nbsp; ✗ failed &nbsp; – could not be asked</p>',
    "<h2>Findings</h2>",
    ...rows.flatMap(({ id, diagnosis }) =>
      diagnosis
        ? [
          `<details${diagnosis.healthy ? "" : " open"}><summary class="id">${html(id)}</summary>`,
          `<pre>${html(diagnosisText(diagnosis, asIs))}</pre></details>`,
        ]
        : []
    ),
  ]);
}

function matrix(rows: readonly Row[]): string {
  const head = ["container", ...TOPICS, "cause"].map((one, i) =>
    `<th${i === 0 ? ' class="id"' : i <= TOPICS.length ? ' class="mark"' : ""}>${html(one)}</th>`
  );
  const body = rows.map((row) => {
    const cells = outcomesOf(row).map((outcome) =>
      outcome
        ? `<td class="mark ${TONES[outcome]}" title="${outcome}">${MARKS[outcome]}</td>`
        : '<td class="mark"></td>'
    );
    const sum = html(sumOf(row, textOf));
    return `<tr><td class="id">${html(row.id)}</td>${
      cells.join("")
    }<td class="cause">${sum}</td></tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head.join("")}</tr></thead><tbody>${
    body.join("")
  }</tbody></table></div>`;
}
