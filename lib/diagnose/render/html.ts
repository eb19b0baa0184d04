/** The diagnosis of an agent as one HTML file that loads nothing from elsewhere. */
import { plain } from "../../base/printable.ts";
import type { Topology, TopologyNode } from "../../netns/topology.ts";
import { type AgentDiagnosis, outcomeOf, type Row, TOPICS } from "../all.ts";
import { diagnosisJson, type FindingJson, findingJson } from "./finding.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f3f4f6; --line: #c9ced6; --dim: #59616c; --good: #13703a; --bad: #b3261e; --none: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171b; --soft: #1e2329; --line: #3a424c; --dim: #9aa4b0; --good: #5fd38d; --bad: #ff8a80; --none: #9aa4b0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; } p { margin: .3rem 0; } .dim { color: var(--dim); }
code, .id { font-family: ui-monospace, monospace; font-size: .88em; }
.good { color: var(--good); } .bad { color: var(--bad); } .none { color: var(--none); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .55rem; border: 1px solid var(--line); text-align: left; vertical-align: top; } th { background: var(--soft); font-weight: 600; overflow-wrap: normal; white-space: nowrap; }
th.mark, td.mark { text-align: center; } th.id, td.id { min-width: 11rem; max-width: 22rem; } td.cause { min-width: 16rem; }
ul.tree, ul.tree ul { list-style: none; margin: 0; padding-left: 1.1rem; border-left: 1px solid var(--line); } ul.tree { border: 0; padding: 0; }
ul.tree li { padding: .12rem 0 .12rem .5rem; } .node { display: inline-block; max-width: 100%; padding: .1rem .5rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--soft); }
.node.bad { border-color: var(--bad); } .node.good { border-color: var(--good); } .node .more { color: var(--dim); }
.finding { border-left: 3px solid var(--bad); padding: .3rem .8rem; margin: .6rem 0; background: var(--soft); } .finding.hint { border-color: var(--none); }
.finding ul { margin: .3rem 0; padding-left: 1.2rem; } ul.asked { list-style: none; padding: 0; columns: 2 24rem; } ul.asked li { break-inside: avoid; }
`;

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
  const ill =
    rows.filter(({ diagnosis, error }) => error || diagnosis && !diagnosis.healthy).length;
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${html(`Networks of ${agent}`)}</title><style>${STYLE}</style></head><body>`,
    `<h1>Container networks of ${html(agent)}</h1>`,
    `<p class="dim">mesos-cni netns diagnose --all, ${html(time)}</p>`,
    `<p class="${healthy ? "good" : "bad"}">${rows.length} containers, ${
      healthy ? "no problem found" : `${ill} with problems`
    }</p>`,
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
    "</body></html>",
  ].join("\n");
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
    const health = row?.diagnosis
      ? (row.diagnosis.healthy ? "good" : "bad")
      : node.details.includes("down")
      ? "bad"
      : "";
    const mark = row?.diagnosis ? (row.diagnosis.healthy ? "✓ " : "✗ ") : "";
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
      html(skipped ?? error ?? (cause?.level === "problem" ? cause.text : "healthy"))
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
  { level, text, evidence, remedy, code, mechanism, place, consequenceOf }: FindingJson,
): string {
  return `<div class="finding ${level}"><p><strong>${html(text)}</strong></p><ul>${
    evidence.map((one) => `<li>${html(one)}</li>`).join("")
  }</ul><p>${html(remedy)}</p><p class="dim"><code>${html(code)}</code> (${mechanism} at ${place})${
    consequenceOf ? `, a consequence of <code>${html(consequenceOf)}</code>` : ""
  }</p></div>`;
}

function html(text: string): string {
  return plain(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}
