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
  | { kind: "astray"; device: string; by: string }
  | { kind: "hidden"; address: string }
  /** Of a DNS server: a code of its answers, or what is wrong with them. */
  | { kind: "dns"; code: string; domain?: string; address?: string; ms?: number }
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

type Text<K> = string | ((failure: Failure & { kind: K }) => string);

const TEXTS: { readonly [K in Failure["kind"]]: Text<K> } = {
  silence: ({ bytes }) => bytes === undefined ? "timed out" : `no answer to ${bytes} bytes`,
  errno: ({ errno }) => explained(errno),
  unreachable: ({ said }) => `a hop answers: ${said}`,
  too_big: ({ mtu }) => `a hop takes no more than ${mtu} bytes, also after it was made smaller`,
  nobody_has: ({ address }) => `nobody answers who has ${address}`,
  others_have: ({ address, macs, wanted }) =>
    `${macs.join(", ")} answers for ${address}${wanted === undefined ? "" : `, and not ${wanted}`}`,
  not_arrived: "the packet does not arrive in the container",
  refused: "the container refuses it",
  no_answer: "the container does not answer",
  answer_lost: "its answer does not come back",
  untranslated: ({ address, port }) =>
    `its answer comes from ${address} port ${port}, where nobody asked`,
  dns: ({ code, domain, address, ms }) =>
    ({
      slow: `it answers after ${ms} ms`,
      wildcard: `it has an address for every name in ${domain}`,
      deaf: `it answers no name in ${domain}`,
      strange: "answers that fit no question",
      agent: `it says that ${domain} is ${address}, which is not this agent`,
    })[code] ?? code,
  astray: ({ device, by }) => `its answer leaves by ${by}, and not by ${device}`,
  hidden: ({ address }) => `the container sees it come from ${address}`,
  stuck: "the connection is taken, and what is sent on it does not arrive",
  unaccepted: "the connection waits to be accepted",
  unread: "what was sent is taken, and not read",
  ephemeral: ({ outcome }) => `from a port that the kernel gives out: ${explained(outcome)}`,
  link_down: ({ device }) => `${device} is down`,
};

export function failureText(failure: Failure): string {
  const text = TEXTS[failure.kind] as Text<Failure["kind"]>;
  return typeof text === "string" ? text : text(failure as never);
}

/** `ENETUNREACH: network is unreachable`; what is no errno's name stays as it is. */
export function explained(outcome: string): string {
  const known = Object.values(ERRNO_NAMES).find(([name]) => name === outcome);
  return known ? known.join(": ") : outcome;
}
