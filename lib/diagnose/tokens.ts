/** Ports and echo identifiers by which this program's probes are told from all other packets. */
import type { Tokens } from "./observe/filter.ts";

/** Tokens are ports below those that the kernel gives out by itself. */
const TOKENS_AT_A_TIME = 64;
const FIRST_TOKEN = 20_480;
const LAST_TOKEN = 32_767;

const RANGES = Math.floor((LAST_TOKEN - FIRST_TOKEN + 1) / TOKENS_AT_A_TIME);
/** Another program's begins elsewhere; this one's follow each other. */
let nextRange = Math.floor(Math.random() * RANGES);

/** The token of a packet that is followed: of one question always the same, so that another agent can wait for it. */
export function tokenOf(question: string): number {
  const hash = [...question].reduce((sum, one) => (sum * 31 + one.codePointAt(0)!) >>> 0, 7);
  return FIRST_TOKEN + hash % (LAST_TOKEN - FIRST_TOKEN + 1);
}

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

  take(): number {
    return this.#next < this.tokens.last ? this.#next++ : this.tokens.last;
  }
}
