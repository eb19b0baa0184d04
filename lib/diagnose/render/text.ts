/** Diagnoses as text for a terminal. */
import { plain } from "../../base/printable.ts";
import { shellText } from "../../facts/sentences.ts";
import { table } from "../../netns/table.ts";
import { type AgentDiagnosis, outcomesOf, sumOf, unaskedText } from "../all.ts";
import type { Diagnosis } from "../diagnose.ts";
import type { FollowedPacket } from "../follow.ts";
import { TOPICS } from "../questions/question.ts";
import {
  type DiagnosisJson,
  diagnosisJson,
  type FindingJson,
  findingJson,
  followedJson,
} from "./finding.ts";

export const MARKS = { answered: "✓", failed: "✗", unasked: "–" } as const;

/** Marks what matters most, such as bold. */
type Strong = (text: string) => string;

export function diagnosisText(diagnosis: Diagnosis, strong: Strong): string {
  const { name, healthy, asked, findings } = diagnosisJson(diagnosis);
  const title = (text: string) => strong(plain(text));
  const hints = findings.filter(({ level }) => level === "hint");
  const [cause, ...others] = findings.filter(({ level }) => level === "problem");
  return [
    title(
      healthy
        // Where no packet was answered, only what was read is known to be right.
        ? asked.some(({ topic, outcome }) => topic !== "state" && outcome === "answered")
          ? `${name} is healthy`
          : `${name}: nothing that was read is wrong; no packet was answered`
        : cause
        ? `cause: ${cause.text}`
        : `${name} is not healthy`,
    ),
    ...cause ? [details(cause)] : [],
    ...others.map((one) =>
      `also: ${plain(one.text)}${
        one.consequenceOf ? ` (a consequence of ${one.consequenceOf})` : ""
      }\n${details(one)}`
    ),
    ...hints.map((one) => `worth a look: ${plain(one.text)}\n${details(one)}`),
    ...asked.length > 0 ? [askedText(asked)] : [],
  ].join("\n\n");
}

/** What was asked, a line each, and what was seen. */
function askedText(asked: DiagnosisJson["asked"]): string {
  const lines = asked.map(({ text, outcome, detail }) =>
    `  ${MARKS[outcome]} ${plain(text)}${detail === "" ? "" : `: ${plain(detail)}`}`
  );
  const missing = asked.filter(({ outcome }) => outcome === "unasked").length;
  return [`asked${missing > 0 ? ` (– could not be asked: ${missing})` : ""}:`, ...lines].join("\n");
}

/** A remedy alone on its line, to be pasted. */
function remedyText({ remedy, advice }: FindingJson): string[] {
  return [`  do      ${remedy}`, ...advice === undefined ? [] : [`  note    ${advice}`]];
}

function details(finding: FindingJson): string {
  const { code, mechanism, place, evidence, fix } = finding;
  return [
    ...evidence.map((one) => `  seen    ${one}`),
    ...remedyText(finding),
    ...fix?.removes ? [`  removes ${fix.removes}`] : [],
    `  code    ${code} (${mechanism} at ${place})`,
  ].map(plain).join("\n");
}

/** Each cause with who has it. */
export function causeTexts({ agent, groups }: AgentDiagnosis, strong: Strong): string[] {
  return groups.map(({ cause, ids, isAgents }) => {
    const finding = findingJson(cause);
    const who = [
      ...isAgents ? [agent] : [],
      ...ids.length === 1 ? [ids[0]!] : ids.length > 1 ? [`${ids.length} containers`] : [],
    ].join(", ");
    const named = ids.length > 1 ? [`  of      ${plain(ids.join(", "))}`] : [];
    return [
      `${strong(plain(who))}: ${plain(finding.text)}`,
      ...named,
      ...remedyText(finding).map(plain),
    ].join("\n");
  });
}

/** What concerns the agent, the causes with their containers, and the matrix of questions. */
export function agentText(all: AgentDiagnosis, strong: Strong): string {
  const { rows, groups } = all;
  if (rows.length === 0 && groups.length === 0) return "no containers";
  const lines = rows.map((row) => [
    row.id,
    ...outcomesOf(row).map((outcome) => outcome === undefined ? "" : MARKS[outcome]),
    plain(sumOf(row, ({ code }) => code)),
  ]);
  const headings = ["ID", ...TOPICS.map((topic) => topic.toUpperCase()), "CAUSE"];
  const matrix = rows.length === 0
    ? []
    : [table(headings, lines), "✓ answered   ✗ failed   – could not be asked"];
  const unasked = unaskedText(rows);
  const causes = causeTexts(all, strong);
  return [...matrix, ...unasked ? [plain(unasked)] : [], ...causes].join("\n\n");
}

/** A followed packet, hop by hop. */
export function followedText(followed: FollowedPacket): string {
  const { from, to, connection, hops, findings, there } = followedJson(followed);
  const marks = { passed: "✓", stopped: "✗", unknown: "?" };
  const lines = hops.flatMap(({ name, outcome, evidence }) => [
    `${marks[outcome]} ${name}`,
    ...evidence.map((one) => `    ${one}`),
  ]);
  const causes = findings.flatMap((one, i) => [
    `${one.level === "hint" ? "worth a look" : i === 0 ? "cause" : "also"}: ${one.text}`,
    ...one.evidence.map((proof) => `  seen    ${proof}`),
    ...remedyText(one),
  ]);
  const beyond = there
    ? [
      "it left this agent. Where it goes to a container of another one, run there, and then this again here:",
      `  ${shellText(there)}`,
    ]
    : [];
  return [`${from} → ${to}: ${connection}`, ...lines, ...causes, ...beyond].map(plain).join("\n");
}
