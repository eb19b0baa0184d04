/** What became of a question or a connection, in words. */
import { ERRNO_NAMES } from "../../kernel/errno.ts";

/** `ENETUNREACH: network is unreachable`; what is no errno's name stays as it is. */
export function explained(outcome: string): string {
  const known = Object.values(ERRNO_NAMES).find(([name]) => name === outcome);
  return known ? known.join(": ") : outcome;
}
