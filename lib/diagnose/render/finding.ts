/** A cause and a diagnosis in the form of their JSON (docs/schemas), with all sentences made. */
import type { Cause, Fix } from "../../facts/cause.ts";
import { adviceOf, commandsText, proofText, remedyOf, textOf } from "../../facts/sentences.ts";
import type { AgentDiagnosis } from "../all.ts";
import type { Asked, Diagnosis } from "../diagnose.ts";
import type { FollowedPacket } from "../follow.ts";
import { failureText, shareText } from "../failure.ts";
import type { Answer } from "../questions/question.ts";

const MOST_EVIDENCE = 12;
const MOST_TEXT = 600;
/** A remedy that is cut off can not be run. */
const MOST_REMEDY = 4000;

export type FindingJson = ReturnType<typeof findingJson>;

/** What comes from outside may be of any length; a finding is not. */
export function findingJson(cause: Cause) {
  const { code, level, mechanism, place, seen, fix, consequenceOf, ...about } = cause;
  const advice = adviceOf(cause);
  return {
    code,
    level,
    mechanism,
    place,
    text: cut(textOf(cause)),
    evidence: seen.slice(0, MOST_EVIDENCE).map((proof) => cut(proofText(proof))),
    remedy: cut(remedyOf(cause), MOST_REMEDY),
    ...advice === undefined ? {} : { advice: cut(advice) },
    ...fix ? { fix: fixJson(fix) } : {},
    ...consequenceOf ? { consequenceOf } : {},
    about,
  };
}

function fixJson({ commands, removes }: Fix) {
  return {
    what: `run ${commandsText({ commands })}`,
    safe: removes === undefined,
    ...removes === undefined ? {} : { removes: cut(removes) },
    commands,
  };
}

/** Of an answer that is none, with how many of its tries. */
function answerText({ failure, share, detail }: Answer): string {
  if (!failure) return detail;
  return share ? `${shareText(share)}: ${failureText(failure)}` : failureText(failure);
}

/** What came of a question, in words. */
export function detailOf(asked: Asked): string {
  const { outcome, detail, failure } = asked;
  if (outcome === "failed") return answerText(asked);
  return outcome === "answered" && failure
    ? `${detail}; the first time: ${answerText(asked)}`
    : detail;
}

export type DiagnosisJson = ReturnType<typeof diagnosisJson>;

export function diagnosisJson({ name, healthy, asked, causes }: Diagnosis) {
  return {
    name,
    healthy,
    asked: asked.map((one) => ({
      topic: one.topic,
      text: one.text,
      outcome: one.outcome,
      detail: cut(detailOf(one)),
    })),
    findings: causes.map(findingJson),
  };
}

export function followedJson({ from, to, answer, arrived, hops, causes, there }: FollowedPacket) {
  const connection = answer && answerText(answer);
  return {
    from,
    to,
    connection: connection ?? "no address",
    arrived,
    hops,
    findings: causes.map(findingJson),
    ...there ? { there } : {},
  };
}

export function agentJson({ agent, time, healthy, groups, rows }: AgentDiagnosis) {
  return {
    agent,
    time,
    healthy,
    causes: groups.map(({ cause, ids, isAgents }) => ({
      finding: findingJson(cause),
      ofAgent: isAgents,
      containers: ids,
    })),
    rows: rows.map(({ diagnosis, ...row }) => ({
      ...row,
      ...diagnosis ? { diagnosis: diagnosisJson(diagnosis) } : {},
    })),
  };
}

function cut(text: string, most = MOST_TEXT): string {
  return text.length > most ? `${text.slice(0, most)} …` : text;
}
