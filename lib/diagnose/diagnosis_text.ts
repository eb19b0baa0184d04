/** A diagnosis as text for a terminal. */
import { plain } from "../netns/table.ts";
import type { Asked, Diagnosis } from "./diagnose.ts";
import type { Finding } from "./finding.ts";

const MARKS: Readonly<Record<Asked["outcome"], string>> = {
  answered: "✓",
  failed: "✗",
  unasked: "–",
};

/** @param strong marks what matters most, such as bold */
export function diagnosisText(
  { name, healthy, asked, findings }: Diagnosis,
  strong: (text: string) => string,
): string {
  const title = (text: string) => strong(plain(text));
  const problems = findings.filter(({ level }) => level === "problem");
  const hints = findings.filter(({ level }) => level === "hint");
  const [cause, ...others] = problems;
  return [
    title(
      healthy ? `${name} is healthy` : cause ? `cause: ${cause.text}` : `${name} is not healthy`,
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

/** What was asked, a line each. */
function askedText(asked: readonly Asked[]): string {
  const lines = asked.map(({ text, outcome, detail }) =>
    `  ${MARKS[outcome]} ${plain(text)}${outcome === "answered" ? "" : `: ${plain(detail)}`}`
  );
  const missing = asked.filter(({ outcome }) => outcome === "unasked").length;
  return [`asked${missing > 0 ? ` (– could not be asked: ${missing})` : ""}:`, ...lines].join("\n");
}

function details({ code, mechanism, place, evidence, remedy }: Finding): string {
  return [
    ...evidence.map((one) => `  seen    ${one}`),
    `  do      ${remedy}`,
    `  code    ${code} (${mechanism} at ${place})`,
  ].map(plain).join("\n");
}
