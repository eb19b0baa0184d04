/** Ports and echo identifiers by which this program's probes are told from all other packets. */
import type { Tokens } from "./packets/filter.ts";

/** Probes of a question: each has a token of its own. */
export const TRIES = 5;
/** Tokens are ports below those that the kernel gives out by itself. */
const FIRST_TOKEN = 20_480;
const LAST_TOKEN = 32_767;
const ALL = LAST_TOKEN - FIRST_TOKEN + 1;

/** Another program's begin elsewhere; this one's follow each other. */
let next = Math.floor(Math.random() * ALL);

/** Whether a port is none that a task's connection comes from. */
export function isToken(port: number): boolean {
  return port >= FIRST_TOKEN && port <= LAST_TOKEN;
}

/** The token of a packet that is followed: of one question always the same, so that another agent can wait for it. */
export function tokenOf(question: string): number {
  const hash = [...question].reduce((sum, one) => (sum * 31 + one.codePointAt(0)!) >>> 0, 7);
  return FIRST_TOKEN + hash % (ALL - 512);
}

/** Tokens in a row that no other diagnosis is likely to use now. */
export function takeTokens(count: number): Tokens {
  if (next + count > ALL) next = 0;
  const first = FIRST_TOKEN + next;
  next += count;
  return { first, last: first + count - 1 };
}
