/** Questions whose refusal is an answer. */
import { OperatorError } from "./error.ts";

/** @returns what was asked for; undefined where the kernel, or this program, refuses */
export function unlessRefused<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof OperatorError) return undefined;
    throw error;
  }
}
