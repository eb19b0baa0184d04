/**
 * From "my task can't reach the database" to the cause: questions by real packets; for one that
 * fails the packet is sent again and watched at every hop, and what stands at the place where it
 * was lost is read for the reason.
 */
import { isAddress } from "../base/ip.ts";
import type { Layout } from "../containers/layout.ts";
import { OperatorError } from "../base/error.ts";
import { reasonOf } from "../base/log.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { readContainer } from "../containers/inventory.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import { explain, UNEXPLAINED, unexplained } from "./explain.ts";
import { trailOf } from "./place.ts";
import { complete, type Finding, shellText } from "./finding.ts";
import type { Tokens } from "./observe/filter.ts";
import { Session } from "./observe/session.ts";
import { agentQuestions } from "./questions/agent.ts";
import { dnsQuestions } from "./questions/dns.ts";
import { foundQuestions, gatewayQuestions } from "./questions/gateway.ts";
import { neighbourQuestions } from "./questions/neighbour.ts";
import { outsideQuestions } from "./questions/outside.ts";
import { portQuestions } from "./questions/ports.ts";
import { type Answer, type Question, unasked } from "./questions/question.ts";
import { STATE_QUESTIONS } from "./questions/state.ts";
import { probeState } from "./reasons/state.ts";
import { RuleTexts } from "./reasons/rule_text.ts";
import { resolverOf } from "./resolver.ts";
import { Scene } from "./scene.ts";

/** What was asked, and what came of it. */
export interface Asked {
  topic: Question["topic"];
  text: string;
  outcome: Answer["outcome"];
  detail: string;
}

export interface Diagnosis {
  name: string;
  /** Every question was answered, and nothing that was read is wrong. */
  healthy: boolean;
  asked: Asked[];
  /** Problems first, the cause of all before its consequences; then hints. */
  findings: Finding[];
}

export interface DiagnoseOptions {
  /** Where the agent listens, if not on its own address and 5051. */
  agent?: { address: string; port: number };
}

/** Tokens are ports below those that the kernel gives out by itself. */
const TOKENS_AT_A_TIME = 64;
const FIRST_TOKEN = 20_480;
const LAST_TOKEN = 32_767;
/** Of questions that are watched after they have failed. */
const MOST_WATCHED = 12;
const MOST_EXPLAINING_MS = 3000;
const MOST_FINDINGS = 20;
const MOST_EVIDENCE = 12;
const MOST_TEXT = 600;
/** A remedy that is cut off can not be run. */
const MOST_REMEDY = 4000;

const RANGES = Math.floor((LAST_TOKEN - FIRST_TOKEN + 1) / TOKENS_AT_A_TIME);
/** Another program's begins elsewhere; this one's follow each other. */
let nextRange = Math.floor(Math.random() * RANGES);

/** A range of tokens that no other diagnosis is likely to use now. */
export class TokenRange {
  readonly tokens: Tokens;
  #next: number;

  constructor() {
    const first = FIRST_TOKEN + nextRange * TOKENS_AT_A_TIME;
    nextRange = (nextRange + 1) % RANGES;
    this.tokens = { first, last: first + TOKENS_AT_A_TIME - 1 };
    this.#next = first;
  }

  get left(): number {
    return this.tokens.last - this.#next + 1;
  }

  take(): number {
    return this.#next < this.tokens.last ? this.#next++ : this.tokens.last;
  }
}

/**
 * Finds what is wrong with a container's network.
 *
 * @throws {OperatorError} for what can't be diagnosed at all, such as `host_network`
 */
export async function diagnose(
  layout: Layout,
  target: Target,
  options: DiagnoseOptions = {},
): Promise<Diagnosis> {
  const state = target.id === undefined ? [] : probeState(readContainer(layout, target.id));
  if (target.id !== undefined && !isNamespaceHandle(target.netns)) {
    return verdict(target.name, [], state, []);
  }
  requireAlive(target);
  const others: Scene[] = [];
  using scene = new Scene(layout, target);
  try {
    const questions = await questionsOf(scene, options, (other) => others.push(other));
    const [{ asked, findings }, read] = await Promise.all([
      answer(scene, questions),
      readState(scene),
    ]);
    return verdict(target.name, [...asked, ...read.asked], [...state, ...findings], read.findings);
  } finally {
    for (const other of others) other[Symbol.dispose]();
  }
}

async function questionsOf(
  scene: Scene,
  { agent }: DiagnoseOptions,
  open: (scene: Scene) => void,
): Promise<Question[]> {
  const resolver = resolverOf(scene);
  const pings = new TokenRange();
  return [
    ...gatewayQuestions(scene),
    ...foundQuestions(scene),
    ...neighbourQuestions(scene, open),
    ...await outsideQuestions(scene, resolver.servers.filter(isAddress), () => pings.take()),
    ...agentQuestions(scene, agent),
    ...await portQuestions(scene),
    ...dnsQuestions(scene, resolver),
  ];
}

/** Asks everything at once; what fails is asked again and watched. */
export async function answer(
  scene: Scene,
  questions: readonly Question[],
): Promise<{ asked: Asked[]; findings: Finding[] }> {
  const first = await askAll(questions, false);
  const asked = questions.map(({ topic, text }, i): Asked => ({
    topic,
    text,
    ...first.answers[i]!,
  }));
  await first.session[Symbol.asyncDispose]();
  const failing = questions.map((question, i) => ({ question, i })).filter(({ i }) =>
    asked[i]!.outcome === "failed"
  );
  if (failing.length === 0) return { asked, findings: [] };
  const watched = failing.slice(0, MOST_WATCHED);
  const second = await askAll(watched.map(({ question }) => question), true);
  await using session = second.session;
  const texts = new RuleTexts();
  const findings: Finding[] = [];
  const explained = await Promise.all(watched.map(async ({ question, i }, n) => {
    const again = second.answers[n]!;
    if (again.outcome === "answered") {
      const detail = `${again.detail}; the first time: ${asked[i]!.detail}`;
      asked[i] = { ...asked[i]!, outcome: "answered", detail };
      return [];
    }
    asked[i] = { ...asked[i]!, ...again };
    if (again.outcome !== "failed") return [];
    return await withinTime(
      explain(scene, question, again, second.tokens[n]!, session, texts),
      () => [
        unexplained(scene, question, again, trailOf(question.journey, session, second.tokens[n]!)),
      ],
    );
  }));
  findings.push(...explained.flat());
  return { asked, findings };
}

/** What has not come to an end by then is not waited for. */
async function withinTime<T>(work: Promise<T>, otherwise: () => T): Promise<T> {
  let timer: number | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise()), MOST_EXPLAINING_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function askAll(questions: readonly Question[], deep: boolean) {
  const range = new TokenRange();
  const tokens = questions.map(() => range.take());
  const session = await Session.open(
    range.tokens,
    questions.map(({ journey, neighbours }, i) => ({ token: tokens[i]!, journey, neighbours })),
    deep,
  );
  const answers = await Promise.all(
    questions.map((question, i) => askOne(question, tokens[i]!, session)),
  );
  await session.finish();
  return { tokens, session, answers };
}

/** One question that can't be asked does not end the others. */
async function askOne(question: Question, token: number, session: Session): Promise<Answer> {
  try {
    return await question.ask(token, session);
  } catch (error) {
    return unasked(reasonOf(error));
  }
}

async function readState(scene: Scene): Promise<{ asked: Asked[]; findings: Finding[] }> {
  const asked: Asked[] = [];
  const findings: Finding[] = [];
  const results = await Promise.all(STATE_QUESTIONS.map(async ({ text, read }) => {
    try {
      return { text, found: await read(scene) };
    } catch (error) {
      if (error instanceof OperatorError) return { text, error: error.message };
      throw error;
    }
  }));
  for (const { text, found, error } of results) {
    if (!found) {
      asked.push({ topic: "state", text, outcome: "unasked", detail: error! });
      continue;
    }
    const problems = found.filter(({ level }) => level === "problem");
    asked.push({
      topic: "state",
      text,
      outcome: problems.length > 0 ? "failed" : "answered",
      detail: problems[0]?.text ?? "so it is",
    });
    findings.push(...found);
  }
  return { asked, findings };
}

/**
 * @param explained the findings of questions that failed, in the order of the way
 * @param read what only the state told
 */
function verdict(name: string, asked: Asked[], explained: Finding[], read: Finding[]): Diagnosis {
  const vague = explained.filter(({ code }) => code === UNEXPLAINED);
  const clear = explained.filter(({ code }) => code !== UNEXPLAINED);
  const merged: Finding[] = [];
  for (
    const one of [
      ...clear,
      ...read.filter(({ level }) => level === "problem"),
      ...vague,
      ...read.filter(({ level }) => level === "hint"),
    ]
  ) {
    const same = merged.find(({ code, text }) => code === one.code && text === one.text);
    if (same) join(same, one);
    else merged.push({ ...one, evidence: [...one.evidence] });
  }
  const problems = merged.filter(({ level }) => level === "problem");
  const hints = merged.filter(({ level }) => level === "hint");
  const [cause] = problems;
  // What was lost at the same place, and has no reason of its own, follows from the cause there.
  for (const one of problems.slice(1)) {
    if (one.code === UNEXPLAINED && cause!.code !== UNEXPLAINED && one.place === cause!.place) {
      one.consequenceOf = cause!.code;
    }
  }
  return {
    name,
    healthy: problems.length === 0 && asked.every(({ outcome }) => outcome !== "failed"),
    asked,
    findings: [...problems, ...hints].slice(0, MOST_FINDINGS).map(complete).map(bounded),
  };
}

/** One cause that several questions met: its remedy must do for all of them. */
function join(same: Finding, one: Finding): void {
  same.evidence.push(...one.evidence.filter((line) => !same.evidence.includes(line)));
  if (!same.fix?.commands || !one.fix?.commands) return;
  const has = new Set(same.fix.commands.map(shellText));
  const more = one.fix.commands.filter((command) => !has.has(shellText(command)));
  if (more.length === 0) return;
  // Where words alone told what to do, all commands are put before them in the end.
  const isShown = same.remedy.includes(shellText(same.fix.commands[0]!));
  same.fix = { ...same.fix, commands: [...same.fix.commands, ...more] };
  if (!isShown) return;
  same.remedy += more.map((command) => ` && ${shellText(command)}`).join("");
}

/** What comes from outside may be of any length; a finding is not. */
function bounded(finding: Finding): Finding {
  const cut = (text: string, most = MOST_TEXT) =>
    text.length > most ? `${text.slice(0, most)} …` : text;
  return {
    ...finding,
    text: cut(finding.text),
    remedy: cut(finding.remedy, MOST_REMEDY),
    evidence: finding.evidence.slice(0, MOST_EVIDENCE).map((line) => cut(line)),
  };
}
