/** A question that has failed, with all that was seen of it. */
import type { Finding } from "./finding.ts";
import type { Session } from "./observe/session.ts";
import type { RuleMet } from "./observe/trace.ts";
import type { Trail } from "./place.ts";
import type { Answer, Question } from "./questions/question.ts";
import type { RuleTexts } from "./reasons/rule_text.ts";
import type { Scene } from "./scene.ts";

export interface Case {
  scene: Scene;
  question: Question;
  answer: Answer;
  trail: Trail;
  session: Session;
  token: number;
  met: readonly RuleMet[];
  texts: RuleTexts;
}

/** Looks for one kind of reason. */
export type Reader = (one: Case) => Promise<Finding[]> | Finding[];
