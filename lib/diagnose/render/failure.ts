/** How a question failed, in words. */
import { ERRNO_NAMES } from "../../kernel/errno.ts";
import type { Answer, Failure, Share } from "../questions/question.ts";

export function shareText({ lost, of }: Share): string {
  return `${lost} of ${of} are lost`;
}

/** Of an answer that is none, with how many of its tries. */
export function answerText({ failure, share, detail }: Answer): string {
  if (!failure) return detail;
  return share ? `${shareText(share)}: ${failureText(failure)}` : failureText(failure);
}

/** Of failures that have nothing to tell but their kind. */
const BY_KIND: Partial<Record<Failure["kind"], string>> = {
  not_arrived: "the packet does not arrive in the container",
  refused: "the container refuses it",
  no_answer: "the container does not answer",
  answer_lost: "its answer does not come back",
  stuck: "the connection is taken, and what is sent on it does not arrive",
  unaccepted: "the connection waits to be accepted",
  unread: "the connection is taken, and what was sent is not read",
};

export function failureText(failure: Failure): string {
  switch (failure.kind) {
    case "silence":
      return failure.bytes === undefined ? "timed out" : `no answer to ${failure.bytes} bytes`;
    case "errno":
      return explained(failure.errno);
    case "unreachable":
      return `a hop says that it is unreachable (code ${failure.code})`;
    case "too_big":
      return `a hop takes no more than ${failure.mtu} bytes, also after it was made smaller`;
    case "nobody_has":
      return `nobody answers who has ${failure.address}`;
    case "others_have":
      return `${failure.macs.join(", ")} answers for ${failure.address}${
        failure.wanted === undefined ? "" : `, and not ${failure.wanted}`
      }`;
    case "untranslated":
      return `its answer comes from ${failure.address} port ${failure.port}, where nobody asked`;
    case "ephemeral":
      return `from a port that the kernel gives out: ${explained(failure.outcome)}`;
    case "link_down":
      return `${failure.device} is down`;
    case "dns":
      return dnsText(failure);
    default:
      return BY_KIND[failure.kind]!;
  }
}

function dnsText({ code, domain, ms }: Failure & { kind: "dns" }): string {
  if (code === "slow") return `it answers after ${ms} ms`;
  if (code === "wildcard") return `it has an address for every name in ${domain}`;
  if (code === "deaf") return `it answers no name in ${domain}`;
  if (code === "strange") return "answers that fit no question";
  return code;
}

/** `ENETUNREACH: network is unreachable`; what is no errno's name stays as it is. */
export function explained(outcome: string): string {
  const known = Object.values(ERRNO_NAMES).find(([name]) => name === outcome);
  return known ? known.join(": ") : outcome;
}
