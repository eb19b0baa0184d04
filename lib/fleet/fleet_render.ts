/** Many agents as a screen, and as one HTML file. */
import { html, page } from "../diagnose/render/page.ts";
import { table } from "../netns/table.ts";
import { plainLine } from "../base/printable.ts";
import type { FleetReport } from "./fleet.ts";

/** A part of the report: its title, its columns, its rows. */
interface Section {
  title: string;
  columns: readonly string[];
  rows: readonly (readonly string[])[];
}

/** Agents that are named in a row. */
const MOST_NAMED = 5;

function sections(report: FleetReport, named: (agents: readonly string[]) => string): Section[] {
  return [
    {
      title: "What is wrong",
      columns: ["CAUSE", "AGENTS", "CONTAINERS", "WHERE", "FOR INSTANCE", "DO"],
      rows: report.causes.map(({ code, agents, containers, text, remedy }) => [
        code,
        String(agents.length),
        String(containers),
        named(agents),
        text,
        remedy,
      ]),
    },
    {
      title: "What differs",
      columns: ["WHAT", "VALUE", "AGENTS", "WHERE"],
      rows: report.differences.flatMap(({ what, values }) =>
        values.map(({ value, agents }) => [what, value, String(agents.length), named(agents)])
      ),
    },
    {
      title: "Subnets of several agents",
      columns: ["SUBNETS", "AGENTS", "WHERE"],
      rows: report.overlaps.map(({ subnets, agents }) => [
        subnets.join(" "),
        String(agents.length),
        named(agents),
      ]),
    },
    {
      title: "Given twice",
      columns: ["WHAT", "CONTAINERS"],
      rows: report.twice.map(({ what, containers }) => [what, containers.join(", ")]),
    },
    {
      title: "Not read",
      columns: ["FILE", "WHY"],
      rows: report.unread.map(({ file, reason }) => [file, reason]),
    },
    {
      title: "Agents that are not well",
      columns: ["AGENT", "VERSION", "CONTAINERS", "UNWELL", "CAUSES"],
      rows: report.agents.filter(({ healthy }) => !healthy).map((one) => [
        one.host,
        one.version,
        String(one.containers),
        String(one.unwell),
        one.causes.join(" "),
      ]),
    },
  ].filter(({ rows }) => rows.length > 0);
}

function headline({ agents }: FleetReport): string {
  const ill = agents.filter(({ healthy }) => !healthy).length;
  const containers = agents.reduce((sum, one) => sum + one.containers, 0);
  return `${agents.length} agents with ${containers} containers: ${
    ill === 0 ? "all are well" : `${ill} not well`
  }`;
}

export function fleetText(report: FleetReport, strong: (text: string) => string): string {
  const some = (agents: readonly string[]) =>
    agents.slice(0, MOST_NAMED).join(" ") +
    (agents.length > MOST_NAMED ? ` … ${agents.length - MOST_NAMED} more` : "");
  return [
    strong(headline(report)),
    ...sections(report, some).map(({ title, columns, rows }) =>
      `${strong(title)}\n${table(columns, rows.map((row) => row.map(plainLine)))}`
    ),
  ].join("\n\n");
}

export function fleetHtml(report: FleetReport): string {
  const cells = (tag: string, row: readonly string[]) =>
    `<tr>${row.map((one) => `<${tag}>${html(one)}</${tag}>`).join("")}</tr>`;
  return page("Container networks of a fleet", [
    `<h1>${html(headline(report))}</h1>`,
    ...sections(report, (agents) => agents.join(" ")).flatMap(({ title, columns, rows }) => [
      `<h2>${html(title)}</h2>`,
      `<div class="wide"><table><thead>${cells("th", columns)}</thead><tbody>`,
      ...rows.map((row) => cells("td", row)),
      "</tbody></table></div>",
    ]),
  ]);
}
