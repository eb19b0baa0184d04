/** A question is asked several times in a burst: what is answered at the second try only is not answered. */
import { CONNECTED, type Failure } from "./failure.ts";
import { reasonOf } from "../base/log.ts";
import { OperatorError } from "../base/error.ts";
import { TRIES } from "./tokens.ts";
import type { Session } from "./observe/session.ts";
import { type Answer, type Question, unasked } from "./questions/question.ts";

/** Between one try and the next. */
const INTERVAL_MS = 40;

/** What may become of one packet and not of the next: the first try alone asks for more than that. */
const LOSSES: readonly Failure["kind"][] = [
  ...["silence", "errno", "unreachable", "not_arrived", "refused", "no_answer"] as const,
  ...["answer_lost", "untranslated"] as const,
];

/** What became of a question, and the try by which that is seen. */
export interface Tried {
  answer: Answer;
  token: number;
}

/** @param tokenOf the token of a try */
export async function tryAll(
  question: Question,
  tokenOf: (nth: number) => number,
  session: Session,
): Promise<Tried> {
  const answers = await Promise.all(
    Array.from({ length: question.isAskedOnce ? 1 : TRIES }, async (_, nth) => {
      await new Promise((resolve) => setTimeout(resolve, nth * INTERVAL_MS));
      return await askOne(question, tokenOf(nth), session, nth);
    }),
  );
  const { nth, answer } = mergeTries(answers);
  return { answer, token: tokenOf(nth) };
}

/** The answer of all tries, and which of them it is. */
export function mergeTries(answers: readonly Answer[]): { nth: number; answer: Answer } {
  const failed = [...answers.keys()].filter((nth) => answers[nth]!.outcome === "failed");
  const lost = failed.filter((nth) => isLoss(answers[nth]!));
  const isAnswered = answers.some(({ outcome }) => outcome === "answered");
  const { failure } = answers[0]!;
  // What the first alone has asked tells more, but for what the loss of one packet may be.
  const isFirst = failed[0] === 0 && !isLoss(answers[0]!) &&
    (!isAnswered || CONNECTED.includes(failure!.kind));
  // The last that is lost: rules of nat meet no packet of a connection that is known already.
  // A refusal may be told to the first few alone (net.ipv4.icmp_ratelimit).
  const told = isAnswered ? undefined : lost.find((one) => isTold(answers[one]!));
  const nth = isFirst ? 0 : told ?? lost.at(-1) ?? failed[0] ?? 0;
  const answer = answers[nth]!;
  const isShare = lost.includes(nth) && isAnswered;
  const share = { lost: lost.length, of: answers.length };
  return { nth, answer: isShare ? { ...answer, share } : answer };
}

function isTold({ failure }: Answer): boolean {
  return ["errno", "unreachable", "refused"].includes(failure!.kind);
}

function isLoss({ failure }: Answer): boolean {
  return failure !== undefined && LOSSES.includes(failure.kind);
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
