/** A question is asked several times in a burst: what is answered at the second try only is not answered. */
import { reasonOf } from "../base/log.ts";
import { OperatorError } from "../base/error.ts";
import type { Session } from "./observe/session.ts";
import { type Answer, type Failure, type Question, unasked } from "./questions/question.ts";

/** Probes of a question, and the time from one to the next. */
export const TRIES = 5;
const INTERVAL_MS = 40;

/** What may become of one packet and not of the next: the first try alone asks for more than that. */
const LOSSES: readonly Failure["kind"][] = [
  "silence",
  "errno",
  "unreachable",
  "not_arrived",
  "refused",
  "no_answer",
  "answer_lost",
  "untranslated",
];

/** What became of a question, and the try by which that is seen. */
export interface Tried {
  answer: Answer;
  token: number;
}

/** @param first of as many tokens in a row */
export async function tryAll(question: Question, first: number, session: Session): Promise<Tried> {
  const answers = await Promise.all(
    Array.from({ length: question.isAskedOnce ? 1 : TRIES }, async (_, nth) => {
      await new Promise((resolve) => setTimeout(resolve, nth * INTERVAL_MS));
      return await askOne(question, first + nth, session, nth);
    }),
  );
  const { nth, answer } = mergeTries(answers);
  return { answer, token: first + nth };
}

/** The answer of all tries, and which of them it is. */
export function mergeTries(answers: readonly Answer[]): { nth: number; answer: Answer } {
  const lost = answers.filter(({ outcome }) => outcome === "failed").length;
  const isAnswered = answers.some(({ outcome }) => outcome === "answered");
  const nth = Math.max(0, answers.findIndex(({ outcome }) => outcome === "failed"));
  const answer = answers[nth]!;
  const isShare = lost > 0 && isAnswered && LOSSES.includes(answer.failure!.kind);
  return { nth, answer: isShare ? { ...answer, share: { lost, of: answers.length } } : answer };
}

/** One question that can't be asked does not end the others. */
async function askOne(
  question: Question,
  token: number,
  session: Session,
  nth: number,
): Promise<Answer> {
  try {
    return await question.ask(token, session, nth);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return unasked(reasonOf(error));
  }
}
