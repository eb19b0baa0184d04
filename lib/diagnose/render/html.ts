/** The diagnosis of an agent as one HTML file that loads nothing from elsewhere. */
import type { Topology, TopologyNode } from "../../netns/topology.ts";
import { type AgentDiagnosis, outcomeOf, type Row, TOPICS, unaskedText } from "../all.ts";
import { html, page } from "./page.ts";
import { diagnosisJson, type FindingJson, findingJson } from "./finding.ts";

const MARKS = {
  answered: ["✓", "good", "answered"],
  failed: ["✗", "bad", "failed"],
  unasked: ["–", "none", "could not be asked"],
} as const;

/** @param topology drawn with the health of each container */
export function reportHtml(
  { agent, time, healthy, groups, rows }: AgentDiagnosis,
  topology: Topology,
): string {
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
    ...groups.map(({ cause, ids }) =>
      `${findingHtml(findingJson(cause))}<p class="id">${html(ids.join(", "))}</p>`
    ),
    "<h2>Topology</h2>",
    tree(topology, rows),
    "<h2>Questions</h2>",
    matrix(rows),
    '<p class="dim">✓ answered &nbsp; ✗ failed &nbsp; – could not be asked</p>',
    "<h2>Findings</h2>",
    ...rows.map(container),
  ]);
}

function tree({ nodes, edges }: Topology, rows: readonly Row[]): string {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const reached = new Set<string>();
  const draw = (node: TopologyNode, label: string): string => {
    const again = reached.has(node.id);
    reached.add(node.id);
    const children = again
      ? []
      : edges.filter(({ from }) => from === node.id).flatMap(({ to, label }) => {
        const child = byId.get(to);
        return child ? [draw(child, label)] : [];
      });
    const row = node.kind === "container" ? rows.find(({ id }) => id === node.name) : undefined;
    const told = row?.diagnosis && (row.diagnosis.healthy ? row.error ? undefined : "good" : "bad");
    const health = told ?? (node.details.includes("down") ? "bad" : "");
    const mark = told ? { good: "✓ ", bad: "✗ " }[told] : "";
    const more = [label, ...node.details].filter((one) => one !== "").map(html).join(" · ");
    return `<li><span class="node ${health}">${mark}<span class="id">${html(node.name)}</span>${
      more ? ` <span class="more">${more}</span>` : ""
    }</span>${children.length > 0 ? `<ul>${children.join("")}</ul>` : ""}</li>`;
  };
  const [root] = nodes;
  const first = root ? draw(root, "") : "";
  const others = nodes.filter(({ id }) => !reached.has(id)).map((node) => draw(node, ""));
  return `<ul class="tree">${first}${others.join("")}</ul>`;
}

function matrix(rows: readonly Row[]): string {
  const head = ["container", ...TOPICS, "cause"].map((one, i) =>
    `<th${i === 0 ? ' class="id"' : i <= TOPICS.length ? ' class="mark"' : ""}>${html(one)}</th>`
  );
  const body = rows.map(({ id, diagnosis, skipped, error }) => {
    const cells = TOPICS.map((topic) => {
      const outcome = diagnosis && outcomeOf(diagnosis, topic);
      if (outcome === undefined) return '<td class="mark"></td>';
      const [mark, tone, word] = MARKS[outcome];
      return `<td class="mark ${tone}" title="${word}">${mark}</td>`;
    });
    const [cause] = diagnosis ? diagnosisJson(diagnosis).findings : [];
    return `<tr><td class="id">${html(id)}</td>${cells.join("")}<td class="cause">${
      html(cause?.level === "problem" ? cause.text : skipped ?? error ?? "healthy")
    }</td></tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head.join("")}</tr></thead><tbody>${
    body.join("")
  }</tbody></table></div>`;
}

function container({ id, diagnosis }: Row): string {
  if (!diagnosis) return "";
  const { healthy, asked, findings } = diagnosisJson(diagnosis);
  const lines = asked.map(({ text, outcome, detail }) => {
    const [mark, tone] = MARKS[outcome];
    return `<li><span class="${tone}">${mark}</span> ${html(text)}${
      detail === "" ? "" : `: ${html(detail)}`
    }</li>`;
  });
  return [
    `<h3 class="id">${html(id)}</h3>`,
    ...findings.map(findingHtml),
    `<details${
      healthy ? "" : " open"
    }><summary class="dim">what was asked</summary><ul class="asked">${
      lines.join("")
    }</ul></details>`,
  ].join("\n");
}

function findingHtml(
  { level, text, evidence, remedy, advice, code, mechanism, place, consequenceOf }: FindingJson,
): string {
  return `<div class="finding ${level}"><p><strong>${html(text)}</strong></p><ul>${
    evidence.map((one) => `<li>${html(one)}</li>`).join("")
  }</ul><p>${html(remedy)}</p>${
    advice === undefined ? "" : `<p>${html(advice)}</p>`
  }<p class="dim"><code>${html(code)}</code> (${mechanism} at ${place})${
    consequenceOf ? `, a consequence of <code>${html(consequenceOf)}</code>` : ""
  }</p></div>`;
}
