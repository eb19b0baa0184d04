/** A diagnosis as text for a terminal. */
import type { Diagnosis } from "./diagnose.ts";
import type { Finding } from "./finding.ts";
import { plain } from "../netns/table.ts";

/** @param strong marks what matters most, such as bold */
export function diagnosisText(
  { name, healthy, findings }: Diagnosis,
  strong: (text: string) => string,
): string {
  const title = (text: string) => strong(plain(text));
  const problems = findings.filter(({ level }) => level === "problem");
  const hints = findings.filter(({ level }) => level === "hint");
  const [cause, ...consequences] = problems;
  return [
    title(healthy ? `${name} is healthy` : `cause: ${cause!.summary}`),
    ...cause ? [details(cause)] : [],
    ...consequences.map((one) => `also: ${plain(one.summary)}\n${details(one)}`),
    ...hints.map((one) => `worth a look: ${plain(one.summary)}\n${details(one)}`),
  ].join("\n\n");
}

function details({ cause, evidence, remedy }: Finding): string {
  return [
    ...evidence.map((one) => `  seen    ${one}`),
    `  do      ${remedy}`,
    `  code    ${cause}`,
  ].map(plain).join("\n");
}
