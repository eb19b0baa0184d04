/** How a question failed, as data and in words. */
import { ERRNO_NAMES } from "../kernel/errno.ts";

/** How a question failed. */
export type Failure =
  /** Nothing came back in time. */
  | { kind: "silence"; bytes?: number }
  /** The kernel, or a hop, refused: errno's name, or what its ICMP error says. */
  | { kind: "errno"; errno: string }
  | { kind: "unreachable"; said: string }
  | { kind: "too_big"; mtu: number }
  /** Nobody answers who has an address, or somebody else does. */
  | { kind: "nobody_has"; address: string }
  | { kind: "others_have"; address: string; macs: readonly string[]; wanted?: string }
  /** Of a mapped port. */
  | { kind: "not_arrived" | "refused" | "no_answer" | "answer_lost" }
  | { kind: "untranslated"; address: string; port: number }
  /** Of a DNS server: a code of its answers, or what is wrong with them. */
  | { kind: "dns"; code: string; domain?: string; ms?: number }
  /** Of a connection: what is sent does not arrive; nobody takes or reads it. */
  | { kind: "stuck" | "unaccepted" | "unread" }
  /** From a port that the kernel gives out. */
  | { kind: "ephemeral"; outcome: string }
  | { kind: "link_down"; device: string };

/** Failures of a connection that was made: what is lost is not the packet that asked for it. */
export const CONNECTED: readonly Failure["kind"][] = ["stuck", "unaccepted", "unread"];

export function isRefusal(failure: Failure): boolean {
  return failure.kind === "refused" || failure.kind === "errno" && failure.errno === "ECONNREFUSED";
}

/** Of the tries of a question, those that were not answered. */
export interface Share {
  lost: number;
  of: number;
}

export function shareText({ lost, of }: Share): string {
  return `${lost} of ${of} are lost`;
}

/** Of failures that have nothing to tell but their kind. */
const BY_KIND: Partial<Record<Failure["kind"], string>> = {
  not_arrived: "the packet does not arrive in the container",
  refused: "the container refuses it",
  no_answer: "the container does not answer",
  answer_lost: "its answer does not come back",
  stuck: "the connection is taken, and what is sent on it does not arrive",
  unaccepted: "the connection waits to be accepted",
  unread: "what was sent is taken, and not read",
};

export function failureText(failure: Failure): string {
  switch (failure.kind) {
    case "silence":
      return failure.bytes === undefined ? "timed out" : `no answer to ${failure.bytes} bytes`;
    case "errno":
      return explained(failure.errno);
    case "unreachable":
      return `a hop answers: ${failure.said}`;
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
