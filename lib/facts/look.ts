/** What came of looking at something: a tick is what was looked at. */
import type { Cause } from "./cause.ts";

export interface Look {
  /** What was read, in a few words; absent where there was nothing to read, or it could not be. */
  saw?: string;
  /** Why nothing was read. */
  unread?: string;
  /** Whether it should have been read, and who asks can't rely on the answer therefore. */
  isBlind?: boolean;
  causes: readonly Cause[];
}

const MOST_SAW = 200;

export function saw(what: string, causes: readonly Cause[]): Look {
  return { saw: what.length > MOST_SAW ? `${what.slice(0, MOST_SAW)} …` : what, causes };
}

/** There is nothing of the kind. */
export function nothing(why: string): Look {
  return { unread: why, causes: [] };
}

/** It is there and could not be read. */
export function blind(why: string): Look {
  return { unread: why, isBlind: true, causes: [] };
}
