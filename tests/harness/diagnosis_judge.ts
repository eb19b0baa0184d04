/**
 * What a diagnosis must say of a set-up of the catalogue, compared word for word: no fraction is
 * forgiven. Nothing here runs anything.
 */
import type { NETWORKS } from "./clinic.ts";

export type Where = "agent" | "patient" | "neighbour" | "outside";

/** A shell script; or a command, a file that is written, or a service that is stopped. */
export type Step =
  | [where: Where, script: string]
  | { in: Where; argv: string[]; background?: boolean }
  | { in: Where; file: string; text: string }
  | { in: Where; stop: string };

export interface Setup {
  name: string;
  network?: keyof typeof NETWORKS;
  steps: Step[];
  /** Why more than one answer is right, or why it is made otherwise than its author meant. */
  why?: string;
  /** Of a healthy one: the questions that can't be asked, each as it reads. */
  unasked?: string[];
}

/** What is wrong, as the finding's fields must say it; several values where it is a matter of view. */
export interface Cause {
  code: string | string[];
  mechanism: string | string[];
  /** A rule of a packet filter stands at a hook of a machine, and is of no link: `agent`, or `bridge` in a bridge's own table. */
  place: string | string[];
  /** A word of its text; `$NAME` is a variable of the steps. */
  names: string;
}

export interface Fault extends Setup, Cause {
  /** Of a pair, the other one; either may be named first. */
  second?: Cause;
}

/** Variables of the steps, such as ADDR. */
export type Variables = Record<string, string>;

export interface NamedFinding {
  code: string;
  mechanism: string;
  place: string;
  text: string;
  remedy: string;
  evidence: string[];
  level: string;
  fix?: { commands: string[][] };
}

/** One run of `diagnose --json`. */
export interface Diagnosis {
  code: number;
  findings: NamedFinding[];
  asked: { topic: string; text: string; outcome: string; detail: string }[];
  stderr: string;
}

/** The commands of a first finding, what became of each, and what was said after them. */
export interface Mending {
  finding: NamedFinding;
  commands: { argv: string[]; code: number; stderr: string }[];
  after: Diagnosis;
}

export interface Outcome<S extends Setup = Setup> {
  setup: S;
  variables: Variables;
  diagnosis: Diagnosis;
  /** One after the other, until nothing is left to do. */
  mendings: Mending[];
  /** How long the diagnosis took. */
  ms: number;
  /** Why it was not made: a step failed. Then nothing was diagnosed, which is no success. */
  unmade?: string;
}

/**
 * Whether a text has a word that is no part of another one: 80 is not in 8080, 10.1.0.2 not in
 * 10.1.0.20, wan0 not in wan0-1, 2001:db8::1 not in 2001:db8::1:2.
 */
export function holdsWord(text: string, word: string): boolean {
  const escaped = word.replaceAll(/[^a-z0-9]/gi, (one) => `\\${one}`);
  const isNumber = { first: /^\d/.test(word), last: /\d$/.test(word) };
  const colon = word.includes(":");
  const before = ["\\w", "\\w-", ...colon ? ["\\w:"] : [], ...isNumber.first ? ["\\d\\."] : []];
  const after = ["\\w", "-\\w", ...colon ? [":\\w"] : [], ...isNumber.last ? ["\\.\\d"] : []];
  return new RegExp(`(?<!${before.join("|")})${escaped}(?!${after.join("|")})`, "i").test(text);
}

/** `$ADDR` and VETH become what they are in a clinic. */
export function filledIn(text: string, variables: Variables): string {
  return text.replaceAll(/\$([A-Z]+[0-9]?)|\b(N?VETH)\b/g, (_, named, bare) => {
    const value = variables[named ?? bare];
    if (value === undefined) throw new Error(`no variable ${named ?? bare}: ${text}`);
    return value;
  });
}

/** In which fields a finding differs from a cause. */
export function differences(
  cause: Cause,
  found: NamedFinding | undefined,
  variables: Variables,
): string[] {
  if (found === undefined) return ["nothing was found"];
  const said: string[] = [];
  if (found.level !== "problem") said.push(`its level is ${found.level}`);
  for (const field of ["code", "mechanism", "place"] as const) {
    const wanted = [cause[field]].flat();
    if (!wanted.includes(found[field])) {
      said.push(`${field} is ${found[field]}, not ${wanted.join(" or ")}`);
    }
  }
  const word = filledIn(cause.names, variables);
  if (!holdsWord(found.text, word)) said.push(`its text does not name ${word}: ${found.text}`);
  return said;
}

/** What is wrong with the diagnosis of a fault; nothing if it is right. */
export function faultComplaints(outcome: Outcome<Fault>): string[] {
  const { setup, variables, diagnosis, mendings, unmade } = outcome;
  if (unmade !== undefined) return [`it could not be made: ${unmade}`];
  const causes: Cause[] = setup.second ? [setup, setup.second] : [setup];
  const causeOf = (found: NamedFinding | undefined) =>
    causes.find((cause) => differences(cause, found, variables).length === 0);
  const misnamed = (found: NamedFinding | undefined): string[] =>
    causeOf(found) ? [] : causes.map((cause) => differences(cause, found, variables).join("; "));
  const complaints = misnamed(diagnosis.findings[0]);
  if (diagnosis.code !== 1) complaints.push(`diagnose ended with ${diagnosis.code}, not 1`);
  for (const { finding, commands, after } of mendings) {
    for (const { argv, code, stderr } of commands) {
      if (code !== 0) complaints.push(`${argv.join(" ")} ended with ${code}: ${stderr.trim()}`);
    }
    if (after.findings.some(({ code, text }) => code === finding.code && text === finding.text)) {
      complaints.push(`its remedy mended nothing: ${finding.text}`);
    }
  }
  const last = mendings.at(-1)?.after;
  if (last !== undefined && last.code !== 0) {
    // Of a pair, the other cause may have no remedy that a program could run.
    const left = causeOf(last.findings[0]);
    if (left === undefined || mendings.some(({ finding }) => causeOf(finding) === left)) {
      complaints.push(`it is not healthy after its remedies: ${last.findings[0]?.text}`);
    }
  }
  return complaints;
}

/** The fewest questions that any container is asked. */
const LEAST_ASKED = 9;

/** What is wrong with the diagnosis of a healthy set-up. */
export function alarmsOf({ setup, diagnosis, unmade }: Outcome): string[] {
  if (unmade !== undefined) return [`it could not be made: ${unmade}`];
  const { code, findings, asked, stderr } = diagnosis;
  const alarms = findings.filter(({ level }) => level === "problem").map(({ text }) => text);
  if (code !== 0) alarms.push(`diagnose ended with ${code}, not 0: ${stderr.trim()}`);
  if (asked.length < LEAST_ASKED) alarms.push(`only ${asked.length} questions were asked`);
  for (const { text, outcome, detail } of asked) {
    const expected = setup.unasked?.includes(text) ? "unasked" : "answered";
    if (outcome !== expected) alarms.push(`${text}: ${outcome}, not ${expected}: ${detail}`);
  }
  for (const text of setup.unasked ?? []) {
    if (!asked.some((one) => one.text === text)) alarms.push(`never considered: ${text}`);
  }
  return alarms;
}

export function isFault(setup: Setup): setup is Fault {
  return "mechanism" in setup;
}

/** What is wrong with what was said of a set-up of either kind. */
export function complaintsOf(outcome: Outcome): string[] {
  return isFault(outcome.setup) ? faultComplaints(outcome as Outcome<Fault>) : alarmsOf(outcome);
}
